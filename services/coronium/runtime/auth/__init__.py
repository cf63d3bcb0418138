"""Who may call a service, and how much: principals, their tokens and scopes, limits, quarantine."""
