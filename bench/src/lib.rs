//! Latency and throughput harness.
