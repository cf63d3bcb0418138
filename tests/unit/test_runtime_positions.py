"""Records that faust drops around a rebalance are read again; offsets that hold no record are passed over."""

from collections.abc import Sequence

import pytest

from coronium.runtime.positions import INSIST_SECONDS, Positions

PARTITION = ("coronium.spectra.v1", 0)


def taken(records: Sequence[int], on_their_way: Sequence[int], expected: int) -> tuple[list[int], int]:
    """Return the offsets taken and the number of times the partition was read again.

    Parameters
    ----------
    records : sequence of int
        Offsets of the partition that hold a record.
    on_their_way : sequence of int
        Offsets in the order faust delivers them.
    expected : int
        Where the partition goes on.
    """
    positions = Positions({PARTITION: expected})
    arriving, result, again = list(on_their_way), [], 0
    while arriving:
        offset = arriving.pop(0)
        verdict = positions.take(PARTITION, offset)
        if verdict == "take":
            result.append(offset)
        elif verdict == "read again":
            again += 1
            arriving += [found for found in records if found >= positions.expected[PARTITION]]
    return result, again


@pytest.mark.parametrize(
    ("promise", "records", "on_their_way", "result", "again"),
    [
        ("records in order are taken", range(8), [5, 6, 7], [5, 6, 7], 0),
        ("what was seen is not taken again", range(8), [3, 4, 5, 5, 6], [5, 6], 0),
        ("a dropped record is read again before what follows", range(10), [7, 8, 9], [5, 6, 7, 8, 9], 1),
        ("offsets without records are passed over", [5, 8, 9], [5, 8, 9], [5, 8, 9], 1),
        ("a dropped record behind offsets without records is not lost", [7, 8, 9], [9], [7, 8, 9], 2),
    ],
)
def test_records_are_taken_in_order(
    promise: str, records: Sequence[int], on_their_way: Sequence[int], result: list[int], again: int
) -> None:
    assert taken(records, on_their_way, expected=5) == (result, again), promise


def test_a_partition_that_is_not_ours_is_dropped() -> None:
    assert Positions().take(PARTITION, 0) == "drop"


def test_a_gap_that_nothing_confirms_is_read_again_after_a_while() -> None:
    now = [0.0]
    positions = Positions({PARTITION: 5}, clock=lambda: now[0])
    positions.take(PARTITION, 7)
    assert positions.overdue() == []
    now[0] = INSIST_SECONDS + 0.1
    assert positions.overdue() == [PARTITION]
    assert positions.overdue() == []
