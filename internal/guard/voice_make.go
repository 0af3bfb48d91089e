//go:build ignore

// This program speaks the ten digits with espeak-ng and writes them to voice/0.wav … voice/9.wav: 8 kHz, 8 bits, mono, silence cut off,
// all equally loud. Run it by go generate; its output is kept with the source, so nobody needs espeak-ng to build.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
)

const target = 8000

func main() {
	for digit, word := range []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"} {
		spoken, err := exec.Command("espeak-ng", "-v", "en-us", "-s", "135", "-a", "100", "--stdout", word+".").Output()
		if err != nil {
			log.Fatalf("espeak-ng %q: %v", word, err)
		}
		rate := int(binary.LittleEndian.Uint32(spoken[24:]))
		pcm := spoken[bytes.Index(spoken, []byte("data"))+8:]
		wave := make([]float64, len(pcm)/2)
		for i := range wave {
			wave[i] = float64(int16(binary.LittleEndian.Uint16(pcm[2*i:])))
		}
		if err := os.WriteFile(fmt.Sprintf("voice/%d.wav", digit), wav(level(trim(slower(wave, rate)))), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// slower brings a wave to the target rate by a windowed sinc that lets pass what the target can hold.
func slower(in []float64, rate int) []float64 {
	step, cut, reach := float64(rate)/target, 0.92*target/float64(rate), 48
	out := make([]float64, int(float64(len(in))/step))
	for i := range out {
		at := float64(i) * step
		for k := int(at) - reach; k <= int(at)+reach; k++ {
			if k < 0 || k >= len(in) {
				continue
			}
			x := at - float64(k)
			h := cut
			if x != 0 {
				h = math.Sin(math.Pi*x*cut) / (math.Pi * x)
			}
			out[i] += in[k] * h * (0.5 + 0.5*math.Cos(math.Pi*x/float64(reach+1)))
		}
	}
	return out
}

// trim cuts silence off both ends and fades them.
func trim(w []float64) []float64 {
	peak := 0.0
	for _, x := range w {
		peak = max(peak, math.Abs(x))
	}
	from, to := 0, len(w)
	for from < to && math.Abs(w[from]) < peak/80 {
		from++
	}
	for to > from && math.Abs(w[to-1]) < peak/80 {
		to--
	}
	w = w[max(0, from-80):min(len(w), to+160)]
	for i := 0; i < 80 && i < len(w); i++ {
		w[i] *= float64(i) / 80
		w[len(w)-1-i] *= float64(i) / 80
	}
	return w
}

// level makes a wave as loud as the others.
func level(w []float64) []float64 {
	sum, peak := 0.0, 0.0
	for _, x := range w {
		sum += x * x
		peak = max(peak, math.Abs(x))
	}
	gain := min(28/math.Sqrt(sum/float64(len(w))), 120/peak)
	for i := range w {
		w[i] *= gain
	}
	return w
}

func wav(w []float64) []byte {
	var b bytes.Buffer
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, uint32(36+len(w)))
	b.WriteString("WAVEfmt ")
	for _, field := range []any{uint32(16), uint16(1), uint16(1), uint32(target), uint32(target), uint16(1), uint16(8)} {
		binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, uint32(len(w)))
	for _, x := range w {
		b.WriteByte(byte(128 + math.Round(max(-127, min(127, x)))))
	}
	return b.Bytes()
}
