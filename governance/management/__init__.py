"""Commands of `./run manage` for operators."""
