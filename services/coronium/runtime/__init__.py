"""What is true of every service: the stage loop, workers, dead letters, settings, metrics, control.

In reading order: `stage` (what a stage is), `loop` and `settle` (what is done with it), `executors` and
`workers` (where the work runs), `attempts` and `dead_letters` (what happens to a record that kills them),
`faust_app` and `positions` (what the broker may do to us), `control` (pause, reload), `application` (all of it
as one service).
"""
