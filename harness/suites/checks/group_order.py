"""An assertion that passes or fails with the order in which promtool happens to evaluate rule groups.

A rule that reads what a rule of another group makes sees this tick's value or the last one's. promtool is made to play
the orders that it may take; a test that ends the same way in all of them is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import near_miss
from harness.suites.checks import FileView, Hit
from harness.suites.model import Status
from harness.suites.order import Link, LoadedGroup, OrderDependence
from harness.units import format_duration


def check(view: FileView) -> Iterator[Hit]:
    for dependence in view.order_dependences:
        was, other = dependence.turned[0]
        link = dependence.links[0]
        main = dependence.order.main()
        makes, reads = _shown(link.writer, link), _shown(link.reader, link)
        first, second = (makes, reads) if main.index(link.writer) < main.index(link.reader) else (reads, makes)
        ends = {Status.PASSED: "passes", Status.FAILED: "fails", Status.ERROR: "cannot be evaluated"}
        more = f", and {len(dependence.turned) - 1} more assertions," if len(dependence.turned) > 1 else ""
        tied = dependence.order.tied(link.writer, link.reader)
        leans = "passes or fails by chance" if tied else "leans on an order that promtool does not promise"
        yield Hit(
            was.span,
            f"`{was.subject}` at {format_duration(was.eval_time_ms)}{more} {leans}: `{link.by}` of group "
            f"{reads} reads `{link.reads}` of group {makes}; it {ends[was.status]} where {first} is evaluated "
            f"before {second}, and {ends[other.status]} the other way round. {_why(dependence, link)}",
            _hint(dependence, link),
            dependence.group.title,
        )


def _shown(loaded: LoadedGroup, link: Link) -> str:
    return f"`{loaded.name}` ({loaded.place})" if _of_one_name(link) else f"`{loaded.name}`"


def _of_one_name(link: Link) -> bool:
    return link.writer.name == link.reader.name


def _why(dependence: OrderDependence, link: Link) -> str:
    order = dependence.order
    if _of_one_name(link):
        return "Whatever `group_eval_order` says, promtool evaluates two groups of one name in random order"
    if not order.named:
        return "Without `group_eval_order` promtool evaluates groups in random order"
    named = {text.value for text in order.named}
    left_out = [f"`{loaded.name}`" for loaded in (link.writer, link.reader) if loaded.name not in named]
    why = f"promtool promises an order among the groups that `group_eval_order` names, and it leaves out {left_out[0]}"
    why += f" and {left_out[1]}" if len(left_out) > 1 else ""
    for text in order.unknown:
        why += f"; no group is named `{text.value}`{near_miss(text.value, [loaded.name for loaded in order.groups])}"
    return why


def _hint(dependence: OrderDependence, link: Link) -> str:
    order = f"`group_eval_order: [{', '.join(dependence.order.suggestion(dependence.links))}]`"
    return f"rename one of the two groups, and name both in {order}" if _of_one_name(link) else f"write {order}"
