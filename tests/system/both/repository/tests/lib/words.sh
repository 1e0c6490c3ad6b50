WORDS="shared words"
