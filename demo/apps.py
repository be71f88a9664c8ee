"""The demo as a Django application: for its command, and for the sentences that it offers to try."""

from django.apps import AppConfig

from demo.sentence import DEMO_SENTENCE, MESSAGES, OTHER_SENTENCES
from routing import examples


class DemoConfig(AppConfig):
    """Installed only where SMALLFIRST_DEMO is 1."""

    name = "demo"

    def ready(self) -> None:
        """Offer sentences that end on different rungs."""
        others = [text for text, _rung, _label in OTHER_SENTENCES[:3]]
        examples.offer(workflow="customer-feedback", step="sentiment", texts=[DEMO_SENTENCE, *others])
        examples.offer(workflow="message-screen", step="screen", texts=MESSAGES)
