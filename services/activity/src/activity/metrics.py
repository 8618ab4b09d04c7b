"""What can be asked: each metric is a view of the schema `analytics`, told as of a position of the archive. Pure."""

from typing import Final

from msgspec import Struct

from api.messages import Text


class Metric(Struct, frozen=True, kw_only=True):
    """A metric: rows of the view of its name, one for each value of its `grain`.

    `day` is the column, or what is made of one, that says which day a row is about, if there is one. `personal` ones a
    person may ask about themselves; whoever is an analyst may ask everything.
    """

    name: str
    projection: str
    grain: tuple[str, ...]
    day: str | None = None
    title: Text

    @property
    def personal(self) -> bool:
        """Whether its rows are each about one person."""
        return "user_id" in self.grain


_ALL: Final = (
    Metric(
        name="daily",
        projection="actions",
        grain=("user_id", "day"),
        day="day",
        title=Text("What each person did on each day", "사람별 하루 활동"),
    ),
    Metric(
        name="pattern",
        projection="actions",
        grain=("user_id", "weekday", "hour"),
        title=Text("On which weekdays and in which hours each person works", "사람별 요일과 시간대"),
    ),
    Metric(
        name="cohorts",
        projection="actions",
        grain=("user_id", "day"),
        day="day",
        title=Text("What became of the to-dos made on a day", "하루에 만든 할 일의 완료율"),
    ),
    Metric(
        name="active",
        projection="actions",
        grain=("period", "first_day"),
        day="first_day",
        title=Text("How many people were active in each day, week and month", "일별, 주별, 월별 활동 인원"),
    ),
    Metric(
        name="retention",
        projection="actions",
        grain=("cohort", "weeks_after"),
        day="cohort",
        title=Text("How many of those who registered in a week come back", "가입 주별 재방문"),
    ),
    Metric(
        name="sign_ins",
        projection="sign_ins",
        grain=("day",),
        day="day",
        title=Text("What became of the codes asked for on a day", "하루 로그인 코드의 결과"),
    ),
    Metric(
        name="messages",
        projection="messages",
        grain=("day", "channel", "kind"),
        day="day",
        title=Text("What became of mails, pushes and SMS", "메일, 푸시, SMS의 결과"),
    ),
    Metric(
        name="pipeline",
        projection="hearing",
        grain=("hour", "feed", "reached"),
        day="(hour at time zone 'UTC')::date",
        title=Text("How long events took to the stream and to whoever hears them", "이벤트가 전달되기까지 걸린 시간"),
    ),
)
METRICS: Final = {metric.name: metric for metric in _ALL}
