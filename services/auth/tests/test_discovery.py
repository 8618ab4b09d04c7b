"""What a gateway or a library does with the issuer's address alone: two libraries that share no code with us."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import joserfc.errors
import jwt
import pytest
from joserfc import jwt as jose
from joserfc.jwk import KeySet
from signing import Service, running

from local.fixtures import DatabaseFactory


@pytest.fixture
async def reachable(database: DatabaseFactory, free_port: Callable[[], int]) -> AsyncIterator[tuple[str, Service]]:
    """The service where its issuer says that it is."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    async with running(database("auth").url, port=port, ISSUER=issuer) as auth:
        yield issuer, auth


def discovered(issuer: str) -> dict[str, Any]:
    found = httpx.get(f"{issuer}/.well-known/openid-configuration")
    assert found.headers["content-type"] == "application/json"
    assert found.json()["issuer"] == issuer, "OpenID Connect Discovery 1.0, section 4.3"
    return found.json()


def by_pyjwt(issuer: str, token: str) -> dict[str, Any]:
    place = discovered(issuer)
    key = jwt.PyJWKClient(place["jwks_uri"]).get_signing_key_from_jwt(token)
    algorithms = place["id_token_signing_alg_values_supported"]
    return jwt.decode(token, key, algorithms=algorithms, audience="todo", issuer=place["issuer"])


def by_joserfc(issuer: str, token: str) -> dict[str, Any]:
    place = discovered(issuer)
    keys = KeySet.import_key_set(httpx.get(place["jwks_uri"]).json())
    decoded = jose.decode(token, keys, algorithms=place["id_token_signing_alg_values_supported"])
    rules = {"iss": {"essential": True, "value": place["issuer"]}, "aud": {"essential": True, "value": "todo"}}
    jose.JWTClaimsRegistry(**rules).validate(decoded.claims)
    return decoded.claims


Verify = Callable[[str, str], dict[str, Any]]
LIBRARIES = [by_pyjwt, by_joserfc]


@pytest.mark.parametrize("verify", LIBRARIES)
@pytest.mark.filterwarnings("ignore:.*EdDSA is deprecated")
async def test_a_library_verifies_tokens_from_the_issuers_address_alone(
    reachable: tuple[str, Service], verify: Verify
) -> None:
    issuer, auth = reachable
    signed_in = await auth.sign_in()
    claims = await asyncio.to_thread(verify, issuer, signed_in["access_token"])
    assert claims["sub"] == signed_in["user"]["id"]


@pytest.mark.parametrize("verify", LIBRARIES)
@pytest.mark.filterwarnings("ignore:.*EdDSA is deprecated")
async def test_a_library_refuses_what_another_key_signed(reachable: tuple[str, Service], verify: Verify) -> None:
    issuer, auth = reachable
    head, body, signature = (await auth.sign_in())["access_token"].split(".")
    forged = f"{head}.{body}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"
    with pytest.raises((jwt.InvalidTokenError, joserfc.errors.JoseError)):
        await asyncio.to_thread(verify, issuer, forged)


async def test_what_is_published_is_what_a_gateway_asks_for(reachable: tuple[str, Service]) -> None:
    """RFC 7517, RFC 8037; cached for as long as a rotation counts on, and no longer."""
    issuer, auth = reachable
    published = await auth.http.get(discovered_path(await asyncio.to_thread(discovered, issuer), issuer))
    [key] = published.json()["keys"]
    assert key == key | {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
    assert set(key) == {"kty", "crv", "alg", "use", "kid", "x"}, "and nothing private"
    assert published.headers["cache-control"] == "public, max-age=300"


def discovered_path(place: dict[str, Any], issuer: str) -> str:
    assert place["jwks_uri"].startswith(issuer)
    return place["jwks_uri"].removeprefix(issuer)
