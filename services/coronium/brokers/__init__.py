"""How a Kafka cluster is reached, and why one lets nobody in."""
