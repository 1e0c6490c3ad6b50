"""Property tests (hypothesis) fail for what they find, not because the machine is busy at this moment."""

from hypothesis import HealthCheck, settings

settings.register_profile("atex", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("atex")
