"""Schema changes of the results store, applied by `coronium.results.database.upgrade`."""
