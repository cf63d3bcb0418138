"""`make bench`: every benchmark, one table each."""

from rich.console import Console

from benchmarks.stage_loop import compare


def main() -> None:
    """Run them and print what they gave."""
    Console().print(compare())


if __name__ == "__main__":
    main()
