"""The `coronium` command: all verbs under three headings, and failures as one sentence with an exit code."""

from __future__ import annotations

import logging
import sys

import typer

from coronium.cli import (
    atomic,
    config,
    database,
    demo,
    evaluate,
    fit,
    get,
    instruments,
    lag,
    prepare,
    publish,
    replay,
    results,
    serve,
    simulate,
    tokens,
    topics,
    train,
    up,
    watch,
)
from coronium.cli.failures import CommandError, explain
from coronium.runtime.errors import EXIT_USAGE

USE, RUN, SCIENCE = "Use", "Run", "Science"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Posteriors for temperature, density, emission measure and abundances from a stream of coronal spectra.",
)

app.command(rich_help_panel=USE)(publish.publish)
app.command(rich_help_panel=USE)(watch.watch)
app.command(rich_help_panel=USE)(results.results)
app.command(rich_help_panel=USE)(get.get)
app.command(rich_help_panel=USE)(fit.fit)

app.command(rich_help_panel=RUN)(up.up)
app.command(rich_help_panel=RUN)(demo.demo)
app.command(rich_help_panel=RUN)(prepare.prepare)
app.command(rich_help_panel=RUN)(serve.serve)
app.add_typer(topics.app, name="topics", rich_help_panel=RUN)
app.add_typer(database.app, name="db", rich_help_panel=RUN)
app.add_typer(config.app, name="config", rich_help_panel=RUN)
app.add_typer(tokens.app, name="tokens", rich_help_panel=RUN)
app.command(rich_help_panel=RUN)(lag.lag)
app.command(rich_help_panel=RUN)(replay.replay)

app.command(rich_help_panel=SCIENCE)(simulate.simulate)
app.command(rich_help_panel=SCIENCE)(train.train)
app.add_typer(evaluate.app, name="evaluate", rich_help_panel=SCIENCE)
app.add_typer(atomic.app, name="atomic", rich_help_panel=SCIENCE)
app.add_typer(instruments.app, name="instruments", rich_help_panel=SCIENCE)


def main() -> None:
    """Run the command line; an expected failure is one sentence on standard error, never a traceback."""
    # What a broker does wrong is told in the command's own sentence, not once more for every try to connect.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        _refuse_broken_text(sys.argv[1:])
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        sentence, code = failure
        print(f"coronium: {sentence}", file=sys.stderr)
        sys.exit(code)


def _refuse_broken_text(arguments: list[str]) -> None:
    """Refuse arguments that are no text: they could be neither sent nor printed."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise CommandError(
                f"The argument {argument!a} is not text in UTF-8: rename the file, or set the locale it was named in.",
                EXIT_USAGE,
            ) from None
