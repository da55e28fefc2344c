# Writes pgbench's scripts into a folder: queries by random keys.

keys() {
    for i in $(seq "$1"); do
        printf '%s\n' "\\set i$i random(1, 10000)"
    done
}

queries() {
    for i in $(seq "$1"); do
        printf "%s\n" "SELECT id, randomnumber FROM world WHERE id = :i$i;"
    done
}

cd "$1" || exit

{ keys 1; queries 1; } > one.sql
{ keys 20; queries 20; } > twenty.sql

{
    keys 20
    printf '%s\n' '\startpipeline'
    queries 20
    printf '%s\n' '\endpipeline'
} > pipeline.sql
