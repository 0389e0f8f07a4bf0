INSTALLED_APPS += ["realtime", "pantry"]

SWAMP_DRAGON = {"language": "en"}
