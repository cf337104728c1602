#!/bin/sh
# Makes a page for each article. builds.log beside the releases tells of every page that was ever made.
set -eu

release=$(cat RELEASE)
builds=$DEPLOYBOT_DIRECTORY/builds.log
mkdir -p pages
echo "$release begins" >>"$builds"
number=0
while read -r article; do
    number=$((number + 1))
    # Pictures take their time.
    [ ! -e pictures ] || sleep 0.3
    printf '%s\n' "$article" >"pages/$number.txt"
    echo "page $number: $article"
    echo "$release page $number" >>"$builds"
done <articles.txt
echo "$release ends" >>"$builds"
