"""`coronium ...`: one file per verb. A verb imports what it needs inside its function, so that help is instant."""
