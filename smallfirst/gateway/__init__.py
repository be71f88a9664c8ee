"""The gateway: OpenAI's wire in front, the engine inside, models behind; no Django, no database."""
