#!/bin/sh
# Runs in perl's place when upstream calls `perl ./Configure …`: takes out the words that leave
# zlib out, and adds those that put it in. Frame pointers, because stacks are read through them;
# no sibling calls, because a jump out of a function takes its frame off the stack.
set -eu
zlib_include=$TLSHEAP_ZLIB_INCLUDE
perl=$TLSHEAP_PERL
count=$#
while [ "$count" -gt 0 ]; do
    word=$1
    shift
    count=$((count - 1))
    case $word in
        no-comp | no-zlib | no-zlib-dynamic) ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec "$perl" "$@" zlib "--with-zlib-include=$zlib_include" \
    -g1 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -fno-optimize-sibling-calls
