"""Publishing refuses early what can be refused early, and the client stays light."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from coronium import Client, ServiceUnreachable, SpectrumRejected
from coronium.contract.limits import MAX_SPECTRUM_BYTES
from tests.unit.spectra import good_spectrum, spectrum_of_size


def test_importing_the_client_imports_none_of_the_heavy_libraries():
    code = (
        "import sys\n"
        "from coronium import Client, Result\n"
        "Client().close()\n"
        "heavy = {'torch', 'jax', 'faust', 'aiokafka', 'sunpy', 'matplotlib', 'scipy', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import coronium

    with pytest.raises(AttributeError, match="no attribute 'Customer'"):
        _ = coronium.Customer


def test_a_spectrum_above_the_limit_is_refused_before_it_is_sent():
    with (
        Client(ingestion_address="127.0.0.1:9") as client,
        pytest.raises(SpectrumRejected, match=f"has {MAX_SPECTRUM_BYTES + 1} bytes and the limit is"),
    ):
        client.publish(spectrum_of_size(MAX_SPECTRUM_BYTES + 1))


def test_an_inconsistent_spectrum_is_refused_before_it_is_sent():
    message = good_spectrum()
    message.channels[0].counts.append(1.0)
    with (
        Client(kafka="127.0.0.1:9", timeout=1.0) as client,
        pytest.raises(SpectrumRejected, match="counts has 5 values, expected 4"),
    ):
        client.publish(message)


def test_a_client_with_no_way_into_the_stream_says_so():
    with Client() as client, pytest.raises(ValueError, match="give Client a kafka or an ingestion_address"):
        client.publish(good_spectrum())


def test_a_broker_that_is_not_there_is_named_with_its_address():
    begun = time.monotonic()
    with (
        Client(kafka="127.0.0.1:9", timeout=1.0) as client,
        pytest.raises(ServiceUnreachable, match=r"Kafka at 127\.0\.0\.1:9 did not take the spectrum"),
    ):
        client.publish(good_spectrum())
    assert time.monotonic() - begun < 10.0


def test_an_ingestion_service_that_is_not_there_is_named_with_its_address():
    with (
        Client(ingestion_address="127.0.0.1:9", timeout=2.0) as client,
        pytest.raises(ServiceUnreachable, match=r"ingestion service at 127\.0\.0\.1:9"),
    ):
        client.publish(good_spectrum())
