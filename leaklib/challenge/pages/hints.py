"""What would help next, in a sentence or two: for the labels, for a first picture, for a sharper one."""

from leaklib.challenge.levels import Level
from leaklib.challenge.outcome import Standing

ONE_NEGATIVE = "With one picture, the gradient of the last layer's bias is negative for exactly one class."
LABELS = {
    "linear": ONE_NEGATIVE,
    "lenet": ONE_NEGATIVE,
    "bits": "Rounding keeps the sign of large entries: look at the gradient of the last layer's bias.",
    "topk": "Entries that were not sent are zero. If the last layer's bias was sent, its one negative entry "
    "is the label; if not, try all ten labels and keep the one whose update fits best.",
    "two": "Both labels push their entry of the last bias down, by about half each: look for two negatives.",
    "pair": "Both pictures have one label: the gradient of the last layer's bias has one negative entry.",
    "fedavg": "The update sums several steps, and the last layer's bias still moves most for the label.",
    "text": "The label is the word that comes next: the gradient of the output layer points to it.",
}
INPUTS = {
    "linear": "Each row of the first layer's weight gradient is the picture times one number, and that "
    "number stands in the bias gradient. Divide where it is not close to 0.",
    "lenet": "Search for a picture whose gradient is the one you received, with the label fixed, from "
    "several random starts; or solve for the input of each layer, from the last to the first.",
    "bits": "Measure the distance to what was sent in units of the levels: an entry that is within "
    "half a level has no more to say.",
    "topk": "Compare the entries that were sent. Of the others you know one thing, that they are smaller.",
    "two": "Search for both pictures at once, each free to move by itself. The gradient is their mean, so "
    "their order does not matter.",
    "pair": "Trading parts between the two pictures hardly changes the gradient. Start several times, and "
    "look for directions in which the loss stays flat.",
    "fedavg": "Compare what your guess would send after all its local steps with the client's learning rate, "
    "not the gradient of one step.",
    "text": "Rows of the embedding's gradient are zero for words that do not occur. Find the words first, "
    "then their order from the positions' gradients.",
}
EXACT = (
    "The picture is there, and not yet exact. Divide where the bias gradient is largest: there, rounding "
    "does the least harm."
)
SHARPER = (
    "The picture is there, and not yet sharp. Search longer and from more starts, and compare with exactly "
    "what was sent."
)
ORDER = "Words are there, and not all in their place: compare the update of each order that is left."


def next_step(level: Level, standing: Standing) -> str:
    """The step that earns the next points; empty where there is none to be had."""
    if standing.state == "refused" or standing.points == level.points:
        return ""  # the refusal itself says what to do
    if standing.state == "foreign":
        return "Work on the file that bears your id: nobody else's answer fits it."
    labels = LABELS.get(level.name, "Read off the labels first.")
    if standing.state == "missing":
        names = f"{level.name}.inputs and {level.name}.labels"
        return f"Hand in {names}, even if only the labels are right. {labels}"
    if standing.labels_right < level.num_examples:
        return labels
    return _for_inputs(level, standing)


def _for_inputs(level: Level, standing: Standing) -> str:
    begun = all(value >= bands[0] for value, bands in zip(standing.reached, standing.bands, strict=True))
    if not begun and not (level.is_text and standing.input_points):
        return INPUTS.get(level.name, "Search for inputs whose update is the one you received.")
    if level.is_text:
        return ORDER
    return EXACT if level.name == "linear" else SHARPER
