"""Where the key goes, and what is never asked at all."""

import pytest

from transforms.errors import JobError
from transforms.providers.hosts import base_url_problem, gets_headers, origin_of

PROVIDER = origin_of("https://api.acme.example/v1")
LOCAL = origin_of("http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("url", "provider", "own"),
    [
        ("https://api.acme.example/files/1", PROVIDER, True),
        ("https://api.acme.example:443/files/1", PROVIDER, True),
        ("https://API.ACME.EXAMPLE/files/1", PROVIDER, True),
        ("https://api.acme.example:8443/files/1", PROVIDER, False),
        ("https://acme.example/files/1", PROVIDER, False),
        ("https://api.acme.example.evil.example/1", PROVIDER, False),
        ("https://storage.example/signed?x=1", PROVIDER, False),
        ("http://127.0.0.1:8080/files/1", LOCAL, True),
        ("http://127.0.0.1:9090/signed", LOCAL, False),
        ("https://storage.example/signed", LOCAL, False),
    ],
)
def test_only_the_provider_s_own_address_gets_its_headers(url, provider, own):
    assert gets_headers(url, provider) is own


@pytest.mark.parametrize(
    "url",
    [
        "http://api.acme.example/files/1",
        "http://storage.example/1",
        "http://127.0.0.1:8080/secret",
        "https://127.0.0.1/secret",
        "https://localhost/secret",
        "http://169.254.169.254/computeMetadata/v1/",
        "https://10.0.0.5/secret",
        "https://[::1]/secret",
        "ftp://api.acme.example/1",
        "file:///etc/passwd",
        "https://",
        "https://api.acme.example:port/1",
    ],
)
def test_what_a_provider_may_not_send_us_to_is_refused(url):
    with pytest.raises(JobError, match=r"api\.acme\.example names results at"):
        gets_headers(url, PROVIDER)


def test_a_refusal_shows_no_signature():
    with pytest.raises(JobError) as refused:
        gets_headers("http://storage.example/x?X-Goog-Signature=abc", PROVIDER)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://api.acme.example", "api.acme.example", "https://k:s@api.acme.example", "https://a.example?x=1", ""]
)
def test_an_address_without_https_or_with_more_than_a_path_is_no_base_url(url):
    assert base_url_problem(url)
