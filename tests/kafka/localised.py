"""Run a service, or the command line, after the C library was told to speak the language of the environment."""

import locale
import os
import runpy
import sys

locale.setlocale(locale.LC_ALL, "")

if __name__ == "__main__":
    module = os.environ["LOCALISED_MODULE"]
    if module == "coronium.cli":
        from coronium.cli.main import main

        main()
    else:
        sys.argv[0] = module
        runpy.run_module(module, run_name="__main__")
