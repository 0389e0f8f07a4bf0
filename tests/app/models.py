"""Models that exist only so that tests have something to publish."""
