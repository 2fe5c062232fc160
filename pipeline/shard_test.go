package pipeline

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

func TestParseShard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Shard{
		"1/1": {1, 1}, "2/3": {2, 3}, "4096/4096": {4096, 4096},
		"": {}, "1": {}, "0/3": {}, "4/3": {}, "-1/3": {}, "1/0": {}, "1/4097": {}, "1/3/5": {}, "a/b": {},
	} {
		got, err := ParseShard(text)
		if got != want || (err == nil) != (want != Shard{}) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestShardsCoverEverything: each build is in exactly one shard, whatever other
// builds there are, and no shard is left with nearly all or nearly none.
func TestShardsCoverEverything(t *testing.T) {
	t.Parallel()
	const builds, n = 3000, 7
	sizes := make([]int, n+1)
	for b := range builds {
		id, in := elfinfo.BuildID(fmt.Sprintf("%040x", b)), 0
		for i := 1; i <= n; i++ {
			if (Shard{i, n}).Holds(id) {
				in++
				sizes[i]++
			}
		}
		if in != 1 {
			t.Fatalf("%s is in %d shards", id, in)
		}
	}
	for i, size := range sizes[1:] {
		if size < builds/n/2 || size > builds/n*2 {
			t.Errorf("shard %d has %d of %d builds", i+1, size, builds)
		}
	}
	// Frozen: another answer would move builds between machines.
	if !(Shard{5, 7}).Holds("0102030405060708090a0b0c0d0e0f1011121314") {
		t.Error("a build has moved to another shard")
	}
}

func FuzzDecodeShard(f *testing.F) {
	good := shardManifest{Format: 1, Name: "n", Version: "1", I: 1, N: 1, Builds: []shardBuild{{BuildID: "0102", Soname: "l.so", File: "a.so"}}}
	data, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeShard(data); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"shard":1,"of":1,"builds":[{"file":"../a.so"}]}`))
	f.Add([]byte(`{"format":1,"shard":2,"of":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeShard(data)
		if err != nil {
			return
		}
		if m.I < 1 || m.I > m.N || m.N > maxShards {
			t.Errorf("shard %d of %d", m.I, m.N)
		}
		for _, b := range m.Builds {
			for _, c := range b.File {
				if c == '/' {
					t.Errorf("file %q leads elsewhere", b.File)
				}
			}
		}
	})
}
