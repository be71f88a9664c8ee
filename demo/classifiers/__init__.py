"""Three sentiment models of rising cost behind one OpenAI-compatible server: lexicon, tfidf and minilm."""
