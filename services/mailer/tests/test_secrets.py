"""The plain code and the address are in the mail and nowhere else: production, real SMTP, codes of twelve digits."""

from collections.abc import Callable
from pathlib import Path

from mailing import RECIPIENT, Post, asked, service
from mailserver import PASSWORD, USERNAME, Certificates, mail_server

CODE = "730518264907"


async def test_no_table_and_no_log_holds_a_code_or_an_address(
    post: Post, certificates: Certificates, free_port: Callable[[], int], tmp_path: Path
):
    async with mail_server(free_port(), certificates, auth=True) as server:
        server.rcpt.extend([f"451 {RECIPIENT} waits for {CODE}", f"550 {RECIPIENT} does not want {CODE}"])
        server.data.extend([f"451 {RECIPIENT} waits for {CODE}", f"550 {RECIPIENT} does not want {CODE}"])
        environment = {
            "APP_ENV": "production",
            "LOG_LEVEL": "DEBUG",
            "SMTP_SERVER": "127.0.0.1",
            "SMTP_PORT": str(server.port),
            "SMTP_USERNAME": USERNAME,
            "SMTP_PASSWORD": PASSWORD,
            "SMTP_CA_FILE": str(certificates.authority),
        }
        async with service(post, tmp_path, **environment) as process:
            states = [await settled_state(post, CODE) for _ in range(3)]
    assert sorted(states) == ["failed", "failed", "sent"]
    assert CODE in server.mails[-1].get_body(("plain",)).get_content()
    assert not (tmp_path / "mails").exists()
    found = process.stdout + process.stderr + await everything(post)
    for secret in (CODE, RECIPIENT, PASSWORD):
        assert secret.encode() not in found


async def test_the_search_finds_what_is_planted(post: Post):
    await post.owner.execute(
        "insert into contact (user_id, sealed_contact, registered_at) values (gen_random_uuid(), $1, now())", CODE
    )
    assert CODE.encode() in await everything(post)


async def settled_state(post: Post, code: str) -> str:
    cause = await post.auth.say(asked(code))
    letter = await post.settled(cause, within=20)
    return str(letter["state"])


async def everything(post: Post) -> bytes:
    """Every row of every table of the mailer's database, as text."""
    tables = await post.owner.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables "
        "where schemaname not in ('pg_catalog', 'information_schema')"
    )
    assert len(tables) > 5
    rows = [await post.owner.fetch(f"select t::text from {table['name']} t") for table in tables]
    return "\n".join(row[0] for found in rows for row in found).encode()
