"""What would help next, in a sentence or two: for the labels, for a first picture, for a sharper one."""

from leaklib.challenge.levels import Level
from leaklib.challenge.outcome import Standing

LABELS = {
    "linear": "With one picture, the gradient of the last layer's bias is negative for exactly one class.",
    "lenet": "With one picture, the gradient of the last layer's bias is negative for exactly one class.",
    "bits": "Rounding to 8 bits keeps the sign of large entries: look at the gradient of the last layer's bias.",
    "topk": "Entries that were not sent are zero. If the last layer's bias was sent, its one negative entry is "
    "the label; if not, try all ten labels and keep the one whose update fits best.",
    "two": "Both labels push their entry of the last bias down, by about half each: look for two negative ones.",
    "pair": "Both examples have one label: there is one negative entry in the gradient of the last layer's bias.",
    "fedavg": "The update is the sum of several steps, and the last layer's bias still moves most for the label.",
    "text": "The label is the word that comes next: the gradient of the output layer's bias is negative there.",
}
INPUTS = {
    "linear": "Each row of the first layer's weight gradient is the picture times one number, and that number "
    "stands in the bias gradient. Divide, where it is not close to 0.",
    "lenet": "Search for a picture whose gradient is the one you received, with the label fixed. Start from "
    "several random pictures and keep the one with the lowest loss.",
    "bits": "Compare what your guess would have sent, rounded in the same way, not the exact gradient.",
    "topk": "Compare only the entries that were sent; the others say nothing. A prior that prefers smooth "
    "pictures helps where few entries are left.",
    "two": "Search for both pictures at once. The gradient is their mean, so the order is free, and each picture "
    "must be able to move by itself.",
    "pair": "With one label for both, swapping parts between the two pictures hardly changes the gradient. "
    "Start several times, and look for directions in which the loss stays flat.",
    "fedavg": "Compare what your guess would send after all its local steps, with the client's learning rate and "
    "number of epochs, not the gradient of one step.",
    "text": "Rows of the embedding's gradient are zero for words that do not occur. Find the words first, then "
    "their order, by what each position's gradient says.",
}
SHARPER = {
    "linear": "The picture is there, and not yet exact. Divide where the bias gradient is largest: there, rounding "
    "does the least harm."
}
SEARCHED = (
    "The picture is there, and not yet sharp. Search longer and from more starts, and compare with exactly what "
    "was sent: the loss of the true picture is lower than yours."
)
ORDER = "The words are there, and not all in their place: compare the update of each order that is left."


def next_step(level: Level, standing: Standing) -> str:
    """The step that earns the next points; empty where there is none to be had."""
    if standing.state == "refused" or standing.points == level.points:
        return ""  # the refusal itself says what to do
    if standing.state == "foreign":
        return "Work on the file that bears your id: nobody else's answer fits it."
    if standing.state == "missing":
        return (
            f"Hand in {level.name}.inputs and {level.name}.labels, even if only the labels are right. "
            f"{LABELS.get(level.name, '')}"
        ).strip()
    if standing.labels_right < level.num_examples:
        return LABELS.get(level.name, "Read off the labels first.")
    if any(value < bands[0] for value, bands in zip(standing.reached, standing.bands, strict=True)):
        known = level.is_text and standing.input_points > 0
        return (
            ORDER
            if known
            else INPUTS.get(level.name, "Search for inputs whose update is the one you received.")
        )
    return ORDER if level.is_text else SHARPER.get(level.name, SEARCHED)
