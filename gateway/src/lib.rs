//! Lanes into Kafka, exactly once.
