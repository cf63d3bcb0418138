"""Give everybody on the Kafka cluster exactly the permissions that are declared, and say who has more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, SecurityDisabledError

from coronium.contract.access import Permission, Role, permissions
from coronium.contract.topics import StageName, TopicNames
from coronium.runtime.admin import admin_client, explained
from coronium.runtime.errors import Refused, StartError
from coronium.runtime.settings import KafkaSettings

_ALL = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


@dataclass(frozen=True)
class Grant:
    """One permission of one principal.

    Parameters
    ----------
    principal : str
        As Kafka names it, for example ``User:ingestion``.
    permission : Permission
    """

    principal: str
    permission: Permission

    @property
    def acl(self) -> ACL:
        """Return it in the words of Kafka: allowed from every host, on exactly this name."""
        return ACL(
            self.principal,
            "*",
            ACLOperation[self.permission.operation.name],
            ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType[self.permission.resource.upper()], self.permission.name),
        )


@dataclass(frozen=True)
class AccessReport:
    """What `apply` found and did.

    Attributes
    ----------
    created : list of Grant
        Made by this call.
    present : list of Grant
        There before.
    extra : list of str
        Not declared, about our topics and groups; deleted where that was asked for.
    wider : list of str
        Not declared, about names that include ours among others, or what our principals may do elsewhere: perhaps
        another installation's, and never deleted here.
    pruned : bool
        Whether the extra ones were deleted.
    """

    created: list[Grant]
    present: list[Grant]
    extra: list[str]
    wider: list[str]
    pruned: bool


def grants(names: TopicNames, principals: Mapping[Role, str]) -> list[Grant]:
    """Return all permissions of all roles.

    Parameters
    ----------
    names : TopicNames
        Under which prefix.
    principals : mapping of Role to str
        Principals that are not called ``User:`` and the role's name.
    """
    return [
        Grant(principals.get(role, f"User:{role}"), permission)
        for role in Role
        for permission in permissions(role, names)
    ]


def apply(kafka: KafkaSettings, principals: Mapping[Role, str], prune: bool = False) -> AccessReport:
    """Create the access control entries that are missing and report on all.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, under which prefix, and as whom: a super user, or who may alter the cluster.
    principals : mapping of Role to str
        As in `grants`.
    prune : bool
        Delete the extra ones.

    Raises
    ------
    StartError
        The cluster has no authorizer.
    Refused
        We are not let in, or may not do this.
    Unreachable
        No broker answers.
    """
    wanted = {grant.acl: grant for grant in grants(kafka.topics, principals)}
    admin = admin_client(kafka)
    try:
        there = set(admin.describe_acls(_ALL)[0])
        missing = [acl for acl in wanted if acl not in there]
        others = [acl for acl in there if acl not in wanted]
        extra = [acl for acl in others if _about_ours(acl, kafka.topics)]
        ours = {acl.principal for acl in wanted}
        wider = [
            acl for acl in others if acl not in extra and (acl.principal in ours or _includes_ours(acl, kafka.topics))
        ]
        _create(admin, missing)
        if prune and extra:
            admin.delete_acls([_exactly(acl) for acl in extra])
    except SecurityDisabledError:
        raise StartError(
            f"the Kafka cluster at {kafka.bootstrap_servers} permits everything to everybody: set its "
            "authorizer.class.name first (docs/security.md)."
        ) from None
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()
    return AccessReport(
        created=[wanted[acl] for acl in missing],
        present=[grant for acl, grant in wanted.items() if acl in there],
        extra=sorted(map(_words, extra)),
        wider=sorted(map(_words, wider)),
        pruned=prune,
    )


def set_password(kafka: KafkaSettings, user: str, password: str) -> None:
    """Create a SCRAM user, or change its password; the brokers know it a moment later. Raises as `apply` does.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, and as whom; its mechanism is the new password's.
    user, password : str
    """
    admin = admin_client(kafka)
    try:
        refused = admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, kafka.sasl_mechanism, password)]
        )[user]
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()
    if refused:
        raise Refused(
            f"{kafka.connection.who} cannot set the password of {user} on the Kafka cluster at "
            f"{kafka.bootstrap_servers} ({refused.rstrip('.')}); it takes a super user, or who may alter the cluster."
        )


def _create(admin: KafkaAdminClient, acls: list[ACL]) -> None:
    if acls and (failed := admin.create_acls(acls)["failed"]):
        raise failed[0]("not all entries were created")


def _about_ours(acl: ACL, names: TopicNames) -> bool:
    """Whether an entry is about names of ours and, as far as one can tell, of nobody else."""
    pattern = acl.resource_pattern
    if pattern.pattern_type is ACLResourcePatternType.PREFIXED and len(pattern.resource_name) <= len(names.prefix) + 1:
        return False
    return pattern.resource_name != "*" and _includes_ours(acl, names)


def _includes_ours(acl: ACL, names: TopicNames) -> bool:
    pattern = acl.resource_pattern
    if pattern.resource_type is ResourceType.TOPIC:
        ours = [name for name, _ in names]
    elif pattern.resource_type is ResourceType.GROUP:
        ours = [names.group(stage) for stage in StageName]
    else:
        return False
    if pattern.pattern_type is ACLResourcePatternType.PREFIXED:
        return any(name.startswith(pattern.resource_name) for name in ours)
    return pattern.resource_name == "*" or pattern.resource_name in ours


def _exactly(acl: ACL) -> ACLFilter:
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern)


def _words(acl: ACL) -> str:
    pattern = acl.resource_pattern
    name = pattern.resource_name + ("*" if pattern.pattern_type is ACLResourcePatternType.PREFIXED else "")
    verb = "may" if acl.permission_type is ACLPermissionType.ALLOW else "must not"
    host = "" if acl.host == "*" else f" from {acl.host}"
    return f"{acl.principal} {verb} {_camel(acl.operation.name)} on {_camel(pattern.resource_type.name)} {name}{host}"


def _camel(name: str) -> str:
    return name.title().replace("_", "")
