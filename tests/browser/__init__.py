"""What a person does, in Chromium. A package, so that its tests can share one browser and one running product."""
