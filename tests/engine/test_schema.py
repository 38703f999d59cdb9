import pytest

from engine.schema import (
    UnknownTypeError,
    nested_classes,
    object_schema,
    provider_schema,
    resource_schema,
)

CONTAINER = resource_schema("docker:index/container:Container")


def test_container_inputs_have_the_names_the_provider_sees() -> None:
    assert {"image", "networksAdvanced", "readOnly", "securityOpts"} <= CONTAINER.inputs.properties.keys()
    assert "pidsLimit" not in CONTAINER.inputs.properties


def test_only_the_image_of_a_container_is_required() -> None:
    assert CONTAINER.inputs.required == {"image"}


def test_outputs_include_what_only_the_provider_knows() -> None:
    assert {"networkDatas", "exitCode"} <= CONTAINER.outputs - CONTAINER.inputs.properties.keys()


def test_nested_objects_are_found_in_lists_and_unions() -> None:
    (upload,) = set(nested_classes(CONTAINER.inputs.properties["uploads"]))
    schema = object_schema(upload)
    assert schema.required == {"file"}
    assert "contentBase64" in schema.properties


def test_objects_nested_in_objects_are_found() -> None:
    bucket = resource_schema("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    (rule,) = set(nested_classes(bucket.inputs.properties["rules"]))
    (expiration,) = set(nested_classes(object_schema(rule).properties["noncurrentVersionExpiration"]))
    assert "noncurrentDays" in object_schema(expiration).properties


@pytest.mark.parametrize(
    ("token", "output"),
    [
        ("tls:index/locallySignedCert:LocallySignedCert", "readyForRenewal"),
        ("tls:index/certRequest:CertRequest", "certRequestPem"),
        ("random:index/randomPassword:RandomPassword", "result"),
        ("aws:iam/accessKey:AccessKey", "secret"),
        ("aws:kms/key:Key", "arn"),
        ("tailscale:index/tailnetKey:TailnetKey", "key"),
        ("aws:lambda/function:Function", "invokeArn"),
    ],
)
def test_every_package_is_known(token: str, output: str) -> None:
    assert output in resource_schema(token).outputs


@pytest.mark.parametrize("token", ["docker:index/pod:Pod", "aws:nothing/here:Here", "gcp:storage/bucket:Bucket"])
def test_an_unknown_type_is_refused(token: str) -> None:
    with pytest.raises(UnknownTypeError, match=token):
        resource_schema(token)


def test_provider_configuration_is_known() -> None:
    assert {"host", "sshOpts"} <= provider_schema("docker").properties.keys()
