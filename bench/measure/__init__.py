"""What bench/run is made of: processes, systems, measurements, the report."""
