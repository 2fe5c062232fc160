#!/bin/sh
# What an operator's script for libpulp looks like: brings a machine's processes to a set of live patches in the folder
# $1, tells whether process $2 has got its own, and, when told to go on, takes all of it back. It knows nothing of lpctl.
set -eu
patches=$1 pid=$2

for f in "$patches"/*.so; do
	ulp dump -b "$f" >/dev/null
done

# One run for all processes; no process may fail.
summary=$(ulp trigger -r 100 --timeout 30 --disable-threading "$patches/*.so" 2>&1)
echo "$summary" | grep -q 'Failed: 0\.$'

labels=$(ulp patches -p "$pid" | sed -n 's/^ *bug labels: //p' | sort -u)
test "$labels" = "bsc#1200316 jsc#SLE-20049 CVE-2021-3449"

for f in "$patches"/*.so; do
	status=0
	ulp -q check -p "$pid" "$f" || status=$?
	test "$status" = 1
done

# A cumulative live patch takes the place of the one before.
ulp trigger -p "$pid" --revert-all=target "$patches/hundreds.so" >/dev/null 2>&1
ulp messages -p "$pid" | grep -q 'libpulp loaded'
echo patched
read -r go_on

for library in libulphundreds.so.0 libulpdozens.so.0; do
	ulp trigger -q --revert-all="$library"
done
if ulp trigger -q -p "$pid" --revert "$patches/hundreds.so"; then
	echo "reverted twice" >&2
	exit 1
fi
