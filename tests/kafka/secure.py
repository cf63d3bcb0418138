"""A cluster that asks who is there: passwords over TLS, client certificates, and nothing permitted to anybody."""

from collections.abc import Iterable
from pathlib import Path

from coronium.contract.access import Permission
from coronium.operations.access import Grant
from coronium.runtime.admin import admin_client, create_topics
from tests.certificates import Authority
from tests.kafka.cluster import CONTROLLER, Cluster
from tests.stream.broker import PARTITIONS, Stream

ADMINISTRATOR = "admin"
STRANGER = "stranger"
SCRAM, MUTUAL = "SCRAM", "MUTUAL"


def password_of(user: str) -> str:
    """Return the password that a user has from the start."""
    return f"{user}-secret-of-the-tests"


class SecureCluster:
    """One broker with a listener for passwords (SCRAM over TLS) and one for client certificates (mutual TLS).

    Parameters
    ----------
    directory : pathlib.Path
        Data and certificates.
    users : iterable of str
        Who has a password, beside the administrator; as SCRAM and as PLAIN.

    Attributes
    ----------
    authority : Authority
        Has issued the broker's certificate, for 127.0.0.1 alone.
    cluster : Cluster
        Started by whoever made this.
    """

    def __init__(self, directory: Path, users: Iterable[str]) -> None:
        self.authority = Authority(directory / "certificates")
        broker = self.authority.issue("broker", hosts=["127.0.0.1"])
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        plain_users = " ".join(f'user_{user}="{password_of(user)}"' for user in users)
        account = f'username="{ADMINISTRATOR}" password="{password_of(ADMINISTRATOR)}"'
        properties = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMINISTRATOR};User:broker",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            f"listener.name.{SCRAM.lower()}.plain.sasl.jaas.config": f"{plain} required {plain_users};",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            f"listener.name.{SCRAM.lower()}.scram-sha-512.sasl.jaas.config": f"{login} required {account};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": broker.both_file,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.ca_file,
            f"listener.name.{MUTUAL.lower()}.ssl.client.auth": "required",
            f"listener.name.{CONTROLLER.lower()}.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": r"RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        }
        self.cluster = Cluster(
            directory / "cluster",
            listeners={SCRAM: "SASL_SSL", MUTUAL: "SSL", CONTROLLER: "SSL"},
            properties=properties,
            scram={user: password_of(user) for user in (ADMINISTRATOR, *users)},
        )

    def stream(self, prefix: str, user: str = ADMINISTRATOR) -> Stream:
        """Return the topics under a prefix as a user sees them who has given a password."""
        return Stream(self.cluster.addresses, prefix, self.credentials(user))

    def credentials(self, user: str) -> dict[str, str]:
        """Return what a user with a password must be told, as fields of `KafkaSettings`."""
        return {
            "security_protocol": "SASL_SSL",
            "username": user,
            "password": password_of(user),
            "ca_file": self.authority.ca_file,
        }

    def mutual_stream(self, prefix: str, name: str, authority: Authority | None = None) -> Stream:
        """Return the topics under a prefix as somebody sees them who shows a certificate with this name."""
        certificate = (authority or self.authority).issue(name)
        credentials = {
            "security_protocol": "SSL",
            "ca_file": self.authority.ca_file,
            "certificate_file": certificate.certificate_file,
            "key_file": certificate.key_file,
        }
        return Stream(self.cluster.addresses_of(MUTUAL), prefix, credentials)

    def create_topics(self, prefix: str) -> Stream:
        """Make all topics under a prefix; return them as the administrator sees them."""
        stream = self.stream(prefix)
        create_topics(stream.kafka, partitions=PARTITIONS)
        return stream


def grant(stream: Stream, user: str, permissions: Iterable[Permission]) -> None:
    """Let a user do this."""
    admin = admin_client(stream.kafka)
    acls = [Grant(f"User:{user}", permission).acl for permission in permissions]
    assert not admin.create_acls(acls)["failed"]
    admin.close()


def take_away(stream: Stream, user: str, permissions: Iterable[Permission]) -> None:
    """Let a user no longer do this."""
    admin = admin_client(stream.kafka)
    acls = [Grant(f"User:{user}", permission).acl for permission in permissions]
    assert all(len(found) == 1 for _, found, _ in admin.delete_acls(acls))
    admin.close()
