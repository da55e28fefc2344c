# Writes what nginx itself has to say for wv: 100 events, each sent by itself.

for i in $(seq 100); do
    printf '%s\n' "echo -n 'data: {\"message\":\"Hello, World!\"}" '' "';" \
        'echo_flush;'
done
