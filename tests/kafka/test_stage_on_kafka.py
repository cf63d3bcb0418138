"""What the embedded broker's tests promise holds on a real one: the same tests, collected once more here."""

from tests.stream.test_faust_facts import *  # noqa: F403
from tests.stream.test_stage_control import *  # noqa: F403
from tests.stream.test_stage_delivery import *  # noqa: F403
from tests.stream.test_stage_failures import *  # noqa: F403
from tests.stream.test_stage_topics import *  # noqa: F403
