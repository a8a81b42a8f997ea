"""What each daemon needs: clock, configuration, node-protocol server and client, workers, telemetry."""
