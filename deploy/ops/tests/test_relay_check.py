"""`todo-ops relay check`: what a relay would publish, and where log and stream part, without changing either."""

from desk import Desk


def check(desk: Desk, feed: str = "auth") -> tuple[str, list[int], bool]:
    """What is said of the relay, the numbers that come next, whether all is well."""
    found = desk.told("relay", "check", feed)
    return found["verdict"], [row["seq"] for row in found["next"]], found["well"]


def ends(desk: Desk) -> tuple[int, int]:
    """Where log and stream of AUTH end."""
    [[log]] = desk.run("auth", ("select last_seq from events.feed where name = 'AUTH'",))
    return log["last_seq"], desk.on_streams(lambda js: js.stream_info("AUTH")).state.last_seq


def test_what_is_not_published_yet_is_told_and_not_published(desk: Desk) -> None:
    assert check(desk) == ("it would publish nothing: the stream is the log", [], True)
    desk.say(3)
    desk.append(2)
    verdict, following, well = check(desk)
    assert verdict.startswith("it would publish 2 events, 4 to 5; the first waits for")
    assert (following, well) == ([4, 5], True)
    done = desk.ask("relay", "check", "AUTH")
    assert (done.exit_code, "auth.UserSignedIn.v1" in done.stdout) == (0, True)
    assert ends(desk) == (5, 3)


def test_a_stream_that_is_gone_would_be_filled_again_once_it_is_made(desk: Desk) -> None:
    desk.say(3)
    desk.on_streams(lambda js: js.delete_stream("AUTH"))
    verdict, following, well = check(desk)
    assert "does not exist" in verdict
    assert verdict.endswith("After that it would publish 3 events, 1 to 3")
    assert (following, well, desk.ask("relay", "check", "AUTH").exit_code) == ([1, 2, 3], False, 1)


def test_a_log_that_lost_its_tail_is_told_with_the_first_number_and_what_to_decide(desk: Desk) -> None:
    desk.say(5)
    desk.lose_tail(after=3)
    verdict, following, well = check(desk)
    assert verdict.startswith("it publishes nothing: stream AUTH goes on from 4, where its log ends; ")
    assert "--import-tail" in verdict
    assert (following, well) == ([], False)
    assert ends(desk) == (3, 5)


def test_a_fork_is_told_with_the_first_number_of_the_other_history(desk: Desk) -> None:
    desk.say(5)
    desk.lose_tail(after=3)
    desk.append(4)
    verdict, following, _ = check(desk)
    assert verdict.startswith("it publishes nothing: message 4 of stream AUTH is another event than the log's")
    assert following == [6, 7]


def test_codes_that_were_trimmed_before_they_were_published_would_be_passed_over(desk: Desk) -> None:
    desk.append(5, feed="OTP")
    desk.run("auth", ("delete from events.log where feed = 'OTP' and seq < 4",))
    verdict, following, well = check(desk, "OTP")
    assert verdict.startswith("it would pass over 3 that were trimmed, then publish 2 events, 4 to 5")
    assert (following, well) == ([4, 5], True)
