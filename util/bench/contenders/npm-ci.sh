# usage: npm-ci.sh DIR OUT
#
# Installs into OUT what DIR/package-lock.json has, if that is not there yet.
# The lock names versions and checksums, and no registry: npm asks its own.

cd "$2" || exit

if [ ! -d node_modules ] || ! cmp -s "$1/package-lock.json" package-lock.json
then
    cp "$1/package.json" "$1/package-lock.json" . || exit
    npm ci --ignore-scripts --no-audit --no-fund --loglevel error \
        || { rm -rf node_modules; exit 1; }
fi
