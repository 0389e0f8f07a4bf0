from realtime.serializers import ModelSerializer, ModelValidationError


class ShelfSerializer(ModelSerializer):
    jars = "JarSerializer"
    shows = {"jars": "pantry.Jar"}

    class Meta:
        model = "pantry.Shelf"
        publish_fields = ("name", "jars")
        update_fields = ("name",)


class JarSerializer(ModelSerializer):
    class Meta:
        model = "pantry.Jar"
        publish_fields = ("label", "grams", "opened", "shelf")
        update_fields = ("label", "grams", "opened", "shelf")

    def validate_grams(self, value):
        if int(value) < 0:
            raise ModelValidationError({"grams": ["A jar weighs something."]})
        return value
