"""What tests and benchmarks stand on: PostgreSQL clusters, a gateway in a subprocess, a raw wire client."""
