"""Every metric of the project, with the sentence an operator needs.

Dashboards and alerts may use only these names. Values of labels come from closed sets (topics, reasons,
rungs, instruments we ship, ...), never from data: a star, a spectrum, a line or a trace is not a label; what
is not in the set is counted as ``other``. So a process keeps a bounded number of series whatever it is fed.

Worker processes keep no metrics: they return measurements with their results, and the parent records them in
`Stage.observe`.
"""

import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from coronium.contract.topics import TOPICS, StageName
from coronium.v1 import dead_letter_pb2, posterior_pb2

REGISTRY = CollectorRegistry()
"""The only registry of a process."""

OTHER = "other"

SOURCE_TOPICS = tuple(topic.suffix for topic in TOPICS)
STAGES = tuple(stage.value for stage in StageName)
REASONS = tuple(
    name.removeprefix("DEAD_LETTER_REASON_").lower() for name in dead_letter_pb2.DeadLetterReason.keys()[1:]
)
RUNGS = tuple(name.removeprefix("RUNG_").lower() for name in posterior_pb2.Rung.keys()[1:])
FLAGS = tuple(name.removeprefix("FLAG_").lower() for name in posterior_pb2.Flag.keys()[1:])
CONSTRAINTS = tuple(name.removeprefix("CONSTRAINT_").lower() for name in posterior_pb2.Constraint.keys()[1:])
INSTRUMENTS = ("hinode-eis", "chandra-letg", "chandra-meg", "euve")
PARAMETERS = ("log_temperature", "log_density", "log_emission_measure")
DEATHS = ("crash", "deadline", "memory", "reload")
TABLES = ("observations", "posteriors", "dead_letters")
GRPC_CODES = (
    "ok",
    "cancelled",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "resource_exhausted",
    "failed_precondition",
    "unavailable",
    "unauthenticated",
    "permission_denied",
    "internal",
    "unimplemented",
)
GRPC_METHODS = (
    "Submit",
    "SubmitStream",
    "Get",
    "List",
    "Draws",
    "Watch",
    "ListDeadLetters",
    "Status",
    "Pause",
    "Resume",
    "Drain",
    "Reload",
    "SetLogLevel",
)
REFUSALS = (
    "no_token",
    "bad_token",
    "expired",
    "scope",
    "undeclared",
    "quarantined",
    "rate",
    "concurrency",
    "deadline",
    "stream_length",
    "malformed",
)
QUARANTINES = ("address", "principal")
HTTP_ROUTES = ("results", "result", "draws", "submit", "dead_letters", "health", "metrics")
HTTP_CLASSES = ("2xx", "3xx", "4xx", "5xx")

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)
_AGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0, 86400.0)


class Closed:
    """A metric whose label values are closed sets; anything else becomes ``other``.

    Parameters
    ----------
    metric : prometheus_client metric
        Registered under its name.
    values : dict of str to tuple of str
        The allowed values of each label.
    """

    def __init__(self, metric: Any, values: dict[str, tuple[str, ...]]) -> None:
        self.metric = metric
        self.values = values

    def labels(self, **labels: str) -> Any:
        """Return the series of these labels."""
        return self.metric.labels(
            **{name: value if value in self.values[name] else OTHER for name, value in labels.items()}
        )


def _counter(name: str, sentence: str, **values: tuple[str, ...]) -> Closed:
    return Closed(Counter(name, sentence, list(values), registry=REGISTRY), values)


def _gauge(name: str, sentence: str, **values: tuple[str, ...]) -> Closed:
    return Closed(Gauge(name, sentence, list(values), registry=REGISTRY), values)


def _histogram(name: str, sentence: str, buckets: Iterable[float], **values: tuple[str, ...]) -> Closed:
    return Closed(
        Histogram(name, sentence, list(values), registry=REGISTRY, buckets=tuple(buckets)),
        values,
    )


# The stage loop

MESSAGES_IN = _counter(
    "coronium_messages_in_total",
    "Records taken up by the loop, also again after a rebalance.",
    topic=SOURCE_TOPICS,
)
MESSAGES_OUT = _counter(
    "coronium_messages_out_total", "Records produced and acknowledged by the broker.", topic=SOURCE_TOPICS
)
MESSAGES_DONE = _counter(
    "coronium_messages_done_total",
    "Records whose offset was committed; stalls while lag grows: the stage hangs.",
).metric
MESSAGES_REJECTED = _counter(
    "coronium_messages_rejected_total",
    "Records set aside as dead letters; malformed, invalid, ... is bad input, "
    "crash, deadline and internal are our own fault and stop the stage above a rate.",
    reason=REASONS,
)
BATCH_SIZE = _histogram(
    "coronium_batch_records",
    "Records per batch; always 1 under load: batching does not work.",
    (1, 2, 4, 8, 16, 32, 64, 128, 256),
).metric
BATCH_SECONDS = _histogram(
    "coronium_batch_seconds",
    "From the first record of a batch to its commit; near the deadline: workers get killed.",
    _SECONDS,
).metric
WORK_SECONDS = _histogram("coronium_work_seconds", "The work of a batch alone, without the broker.", _SECONDS).metric
END_TO_END_AGE = _histogram(
    "coronium_end_to_end_age_seconds",
    "From the publication of a spectrum to its commit in this stage.",
    _AGES,
).metric
LAG = _gauge(
    "coronium_consumer_lag_records",
    "Records of our partitions behind the end, by topic; the lag exporter also sees a dead stage.",
    topic=SOURCE_TOPICS,
)
QUEUE_DEPTH = _gauge("coronium_queue_records", "Records fetched and waiting for a batch in this process.").metric
PARTITIONS = _gauge("coronium_partitions", "Partitions assigned to this replica; 0 for long: too many replicas.").metric
REBALANCES = _counter("coronium_rebalances_total", "Rebalances this replica went through; many: replicas flap.").metric
BATCHES_ABANDONED = _counter(
    "coronium_batches_abandoned_total",
    "Batches given up because their partitions went; done again elsewhere.",
).metric
TRANSIENT_FAULTS = _counter(
    "coronium_transient_faults_total", "Batches put off because something we depend on was away."
).metric
STOPPED_BY_FAILURES = _gauge(
    "coronium_stopped_by_failures",
    "1: our own failures passed the rate and the stage paused itself; look at the logs, then resume.",
).metric
WENT_BACK = _counter(
    "coronium_went_back_total",
    "Partitions read again from before the group's commit, because the stage's database was behind it: "
    "restored, or new.",
    topic=SOURCE_TOPICS,
)
CUT_SHORT = _counter(
    "coronium_cut_short_total",
    "Partitions whose log ended before the group's commit and that are read again from their beginning: Kafka has lost "
    "records.",
    topic=SOURCE_TOPICS,
)
LOST_TO_RETENTION = _gauge(
    "coronium_lost_to_retention_records",
    "Records that the stage's database lacks and Kafka no longer holds, when the partitions were assigned; above 0: "
    "restore a later backup, or publish again.",
    topic=SOURCE_TOPICS,
)
PAUSED = _gauge("coronium_paused", "1: this replica is paused.").metric

# Workers

WORKER_RESTARTS = _counter(
    "coronium_worker_restarts_total", "Worker processes that ended and were replaced, by cause.", cause=DEATHS
)
WORKER_MISSING = _gauge(
    "coronium_worker_missing",
    "1: the worker died and none starts with the same model, so nothing is taken up; put the model back, or reload.",
).metric
WORKER_MEMORY = _gauge("coronium_worker_memory_bytes", "Resident memory of the worker process.").metric
WORKER_WARM_SECONDS = _gauge("coronium_worker_warm_seconds", "Time the last worker took to load and compile.").metric
RELOAD_ERRORS = _counter(
    "coronium_reload_errors_total", "Reloads refused; the old model goes on, Status says why."
).metric
SOLO_ATTEMPTS = _counter(
    "coronium_solo_attempts_total",
    "Records worked on alone because their batch died; the culprit is among them.",
).metric

# Ingestion

DUPLICATES = _counter(
    "coronium_duplicates_total", "Spectra seen before and dropped; the store would drop them too."
).metric
SPECTRUM_BYTES = _histogram(
    "coronium_spectrum_bytes", "Size of accepted spectra.", (1e3, 1e4, 1e5, 3e5, 1e6, 3e6, 8388608)
).metric
SPECTRA = _counter("coronium_spectra_total", "Accepted spectra by instrument.", instrument=INSTRUMENTS)

# Extraction

NETWORK_SECONDS = _histogram(
    "coronium_network_seconds", "Network time per spectrum.", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
).metric
NETWORK_SKIPPED = _counter(
    "coronium_network_skipped_total",
    "Spectra of instruments the network does not know, passed on without it.",
).metric

# Fitting

FITS = _counter("coronium_fits_total", "Posteriors made, by the rung they come from.", rung=RUNGS)
FIT_SECONDS = _histogram(
    "coronium_fit_seconds",
    "Time of one fit; near the deadline: raise it or cap the rung.",
    (0.1, 0.3, 1, 2, 5, 10, 20, 40, 60),
    instrument=INSTRUMENTS,
)
DIVERGENCES = _counter(
    "coronium_divergences_total",
    "Divergent transitions of the sampler; a rate above a few per fit: bad geometry.",
).metric
R_HAT = _histogram(
    "coronium_r_hat",
    "Largest split R-hat of a fit; above 1.01 it has not converged.",
    (1.0, 1.005, 1.01, 1.02, 1.05, 1.1, 1.5),
).metric
EFFECTIVE_SAMPLE_SIZE = _histogram(
    "coronium_effective_sample_size",
    "Smallest effective sample size of a fit; below 400 limits are rough.",
    (25, 50, 100, 200, 400, 800, 1600),
).metric
LEAPFROG_STEPS = _histogram(
    "coronium_leapfrog_steps",
    "Mean leapfrog steps per draw; many: the metric is off.",
    (1, 3, 7, 15, 31, 63, 127),
).metric
PARETO_K_HAT = _histogram(
    "coronium_pareto_k_hat",
    "k-hat of the evidence; above 0.7 it is unreliable.",
    (0.0, 0.3, 0.5, 0.7, 1.0, 2.0),
).metric
GOODNESS_OF_FIT = _histogram(
    "coronium_goodness_of_fit",
    "Tail probability of the statistic; piled up at 0: the model does not fit these data.",
    (0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
).metric
RESULT_FLAGS = _counter("coronium_result_flags_total", "Flags on posteriors.", flag=FLAGS)
CONSTRAINTS_TOTAL = _counter(
    "coronium_constraints_total",
    "How parameters could be quoted.",
    parameter=PARAMETERS,
    constraint=CONSTRAINTS,
)
IDENTIFIED_LINES = _histogram(
    "coronium_identified_lines", "Lines identified per spectrum.", (0, 1, 3, 10, 30, 100, 300)
).metric

# Results

STORED = _counter("coronium_stored_total", "Records new to the store.", table=TABLES)
STORED_AGAIN = _counter("coronium_stored_again_total", "Records the store had already.", table=TABLES)
STORE_SECONDS = _histogram("coronium_store_seconds", "Time of one transaction of the store.", _SECONDS).metric
WATCHERS = _gauge("coronium_watchers", "Clients that watch results now.").metric

# Interfaces

GRPC_REQUESTS = _counter("coronium_grpc_requests_total", "gRPC calls ended.", method=GRPC_METHODS, code=GRPC_CODES)
GRPC_SECONDS = _histogram("coronium_grpc_seconds", "Time of one gRPC call.", _SECONDS, method=GRPC_METHODS)
REFUSED_CALLS = _counter(
    "coronium_refused_calls_total",
    "Calls refused before they were served; bad_token or no_token: somebody tries, or a token was rotated too early.",
    reason=REFUSALS,
)
QUARANTINED = _gauge(
    "coronium_quarantined",
    "Addresses and principals that are refused for a while; the log names them.",
    kind=QUARANTINES,
)
PRINCIPALS_FILE_BROKEN = _gauge(
    "coronium_principals_file_broken",
    "1: the principals file was changed and cannot be used; the last good one stays in force, the log says why.",
).metric
HTTP_REQUESTS = _counter(
    "coronium_http_requests_total", "HTTP requests of the gateway.", route=HTTP_ROUTES, status=HTTP_CLASSES
)
HTTP_SECONDS = _histogram("coronium_http_seconds", "Time of one HTTP request.", _SECONDS, route=HTTP_ROUTES)

# The exporter of lag

GROUP_LAG = _gauge(
    "coronium_group_lag_records",
    "Records between a group's commit and the end, seen from outside.",
    group=STAGES,
    topic=SOURCE_TOPICS,
)


def serve(host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve /metrics over HTTP on a thread of its own.

    Raises
    ------
    OSError
        The port is taken.
    """
    return start_http_server(port, host, REGISTRY)


def total(counter: Closed) -> int:
    """Return the sum over all series of a counter."""
    return int(
        sum(
            sample.value
            for metric in counter.metric.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )
    )
