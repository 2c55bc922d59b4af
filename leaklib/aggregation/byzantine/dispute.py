"""How a dispute ends: with the evidence that a complaint carries, everyone can see who is guilty.

Holder i says that dealer n's message to it cannot be read, or does not fit what n published. It gives away
the secret of the key at which it received from n, and nothing else.

    the secret is not that key's                      → i is guilty
    the message cannot be read, or does not fit       → n is guilty
    it fits                                           → i is guilty

An honest holder never accuses an honest dealer, as their message reads as it was written (the seal is
authentic) and fits. So nobody honest is found guilty, and every dealer whose message to some honest holder is
bad, is. The opened message was bad, or its reader gave it away freely: a Byzantine holder that complains of
an honest dealer tells the server its share, and counts among the T on the server's side.
Chapters: 13, 14.
"""

from collections.abc import Collection

from leaklib.aggregation.byzantine.channel import belongs, opened
from leaklib.aggregation.byzantine.consistency import Row
from leaklib.aggregation.byzantine.messages import ByzPhase, Complaint, Dealt, Keys
from leaklib.aggregation.byzantine.rules import ByzRules, conform, read


def well_formed(complaint: Complaint, dealers: Collection[int]) -> bool:
    """Whether it accuses others of ``dealers``, each once, with one secret each."""
    accused = set(complaint.dealers)
    others = {*dealers} - {complaint.client}
    return len(accused) == len(complaint.dealers) == len(complaint.secrets) and accused <= others


def guilty(
    holder: Keys,
    dealer: Keys,
    secret: bytes,
    dealt: tuple[Dealt, Dealt],
    published: Row,
    rules: ByzRules,
    coin: int,
) -> int:
    """Which of the two is guilty, where ``holder`` accuses ``dealer`` and shows its ``secret``.

    ``dealt`` are the dealer's shares and its proof for this holder.
    """
    senders = [member for member in rules.members if member != holder.client]
    if not belongs(secret, holder.receiving[senders.index(dealer.client)]):
        return holder.client
    try:
        shares, proof = (
            opened(message, dealer.sending, secret, rules.session, phase)
            for message, phase in zip(dealt, (ByzPhase.DEAL, ByzPhase.PROVE), strict=True)
        )
        held = read(shares, proof, rules)
    except ValueError:
        return dealer.client
    at = rules.point_of(holder.client)
    return holder.client if conform([held], [published], rules, at, coin).all() else dealer.client
