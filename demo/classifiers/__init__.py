"""Six small models behind one OpenAI-compatible server: three for sentiment, two for attacks, one for languages."""
