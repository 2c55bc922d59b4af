// The engine of network.js in C, for WebAssembly with SIMD: DLG's LeNet on a batch, its gradient, and the derivative
// of that gradient along a direction. Built by scripts/kernel.py. It imports nothing, not even exp: the same numbers
// in every browser.
//
// No matrix of patches is formed. An input lies in memory with its zero padding, the columns of a stride of two apart:
// first the even ones of a row, then the odd ones. What tap (channel, a, b) of a kernel meets at the outputs of row i
// is then a run of neighbors:
//
//   padded[channel][stride · i + a][column[b] + j],  j = 0, 1, 2, ...
//
// Convolution, weight gradient and input gradient are three loops over these runs. Each keeps a tile of sums in
// registers: two channels or taps, and numbers that divide every size. Where their number is odd, the last one is
// computed twice, to the same sums.

enum { KERNEL = 5, PADDING = 2, TAPS = KERNEL * KERNEL, CLASSES = 10, LAYERS = 3, COLORS = 3, SIDE = 32 };
enum { PIXELS = COLORS * SIDE * SIDE, MOST_EXAMPLES = 2, PAGE = 65536 };

typedef double pair __attribute__((vector_size(16), aligned(8)));
typedef long long bits __attribute__((vector_size(16)));

#define EXPORT(name) __attribute__((export_name(#name)))
#define SHARED static __attribute__((noinline)) // a copy at each call would double the file and gain no time

static pair load(const double *from) { return *(const pair *)from; }
static void store(double *to, pair value) { *(pair *)to = value; }
static pair both(double value) { return (pair){value, value}; }
static double sum(pair value) { return value[0] + value[1]; }
static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }

// Numbers one after the other

EXPORT(dot) double dot(const double *a, const double *b, int length) {
  pair s = both(0), t = both(0);
  int i = 0;
  for (; i + 4 <= length; i += 4) {
    s += load(a + i) * load(b + i);
    t += load(a + i + 2) * load(b + i + 2);
  }
  double rest = 0;
  for (; i < length; i++) rest += a[i] * b[i];
  return sum(s + t) + rest;
}

// b += factor · a
EXPORT(add) void add(double factor, const double *a, double *b, int length) {
  int i = 0;
  for (; i + 2 <= length; i += 2) store(b + i, load(b + i) + both(factor) * load(a + i));
  for (; i < length; i++) b[i] += factor * a[i];
}

static void fill(double *to, double value, int length) {
  for (int i = 0; i < length; i++) to[i] = value;
}

// e^x to two units in the last place, for |x| up to 700: x = n ln 2 + r with |r| < 0.35, and the series of e^r.
static pair exponential(pair x) {
  const double shift = 0x1.8p52; // added to a small number, it leaves the nearest integer in the last bits
  const pair shifted = x * both(0x1.71547652b82fep0) + both(shift), n = shifted - both(shift);
  const pair r = x - n * both(0x1.62e42fee00000p-1) - n * both(0x1.a39ef35793c76p-33); // ln 2 in two parts
  pair series = both(1.0 / 6227020800); // 1 / 13!
  static const double inverse[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                   1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,     1.0 / 6,
                                   0.5,             1,              1};
  for (int k = 0; k < 13; k++) series = series * r + both(inverse[k]);
  const bits power = ((bits)shifted << 52) + ((bits){1023, 1023} << 52); // 2^n
  return series * (pair)power;
}

static pair within(pair x, double bound) {
  return __builtin_wasm_min_f64x2(__builtin_wasm_max_f64x2(x, both(-bound)), both(bound));
}

static double exponential_of(double x) { return exponential(within(both(x), 700))[0]; }

// ln x for x from 1 to CLASSES, by Halley's iteration on e^y = x
static double logarithm(double x) {
  double y = 0;
  for (int k = 0; k < 5; k++) {
    const double power = exponential_of(y);
    y += 2 * (x - power) / (x + power);
  }
  return y;
}

// Convolutions

typedef struct {
  int inputs, side, outputs, rows, stride; // inputs × side × side to outputs × rows × rows
  int pitch, plane, column[KERNEL];        // of the padded input: a row, a channel, and where tap b begins in a row
  int taps, cells;                         // weights of an output channel, numbers in it
  int weight, bias;                        // where they lie among all weights
} Layer;

static int start_of(const Layer *l, int channel, int row) { return channel * l->plane + row * l->pitch; }

// Where column x of the input lies in its padded row
static int place(const Layer *l, int x) {
  return (x + PADDING) % l->stride * (l->pitch / l->stride) + (x + PADDING) / l->stride;
}

// The padding stays as it is, zero.
SHARED void pad(const Layer *l, const double *input, double *padded) {
  for (int c = 0; c < l->inputs; c++)
    for (int y = 0; y < l->side; y++, input += l->side)
      for (int phase = 0; phase < l->stride; phase++) {
        double *to = padded + start_of(l, c, y + PADDING) + place(l, phase);
        for (int x = phase; x < l->side; x += l->stride) *to++ = input[x];
      }
}

SHARED void unpad(const Layer *l, const double *padded, double *input) {
  for (int c = 0; c < l->inputs; c++)
    for (int y = 0; y < l->side; y++, input += l->side)
      for (int phase = 0; phase < l->stride; phase++) {
        const double *from = padded + start_of(l, c, y + PADDING) + place(l, phase);
        for (int x = phase; x < l->side; x += l->stride) input[x] = *from++;
      }
}

// output += kernel ∗ input. The tile: 2 channels × 8 columns.
SHARED void add_convolution(const Layer *l, const double *kernel, const double *padded, double *output) {
  for (int o = 0; o < l->outputs; o += 2) {
    const int p = least(o + 1, l->outputs - 1);
    for (int i = 0; i < l->rows; i++)
      for (int j = 0; j < l->rows; j += 8) {
        double *const first = output + o * l->cells + i * l->rows + j, *const second = first + (p - o) * l->cells;
        pair s[4], t[4];
        for (int q = 0; q < 4; q++) s[q] = load(first + 2 * q), t[q] = load(second + 2 * q);
        const double *w = kernel + o * l->taps, *v = kernel + p * l->taps;
        for (int c = 0; c < l->inputs; c++)
          for (int a = 0; a < KERNEL; a++, w += KERNEL, v += KERNEL) {
            const double *row = padded + start_of(l, c, l->stride * i + a) + j;
            for (int b = 0; b < KERNEL; b++)
              for (int q = 0; q < 4; q++) {
                const pair x = load(row + l->column[b] + 2 * q);
                s[q] += both(w[b]) * x;
                t[q] += both(v[b]) * x;
              }
          }
        for (int q = 0; q < 4; q++) store(first + 2 * q, s[q]), store(second + 2 * q, t[q]);
      }
  }
}

// kernel += signal ⋆ input, the gradient in the weights. The tile: 2 channels × the 5 taps in a row.
SHARED void add_correlation(const Layer *l, const double *signal, const double *padded, double *kernel) {
  for (int o = 0; o < l->outputs; o += 2) {
    const int p = least(o + 1, l->outputs - 1);
    for (int c = 0; c < l->inputs; c++)
      for (int a = 0; a < KERNEL; a++) {
        pair s[KERNEL], t[KERNEL];
        for (int b = 0; b < KERNEL; b++) s[b] = t[b] = both(0);
        const double *d = signal + o * l->cells, *e = signal + p * l->cells;
        for (int i = 0; i < l->rows; i++) {
          const double *row = padded + start_of(l, c, l->stride * i + a);
          for (int j = 0; j < l->rows; j += 2, d += 2, e += 2)
            for (int b = 0; b < KERNEL; b++) {
              const pair x = load(row + l->column[b] + j);
              s[b] += load(d) * x;
              t[b] += load(e) * x;
            }
        }
        double *const first = kernel + o * l->taps + c * TAPS + a * KERNEL, *const second = first + (p - o) * l->taps;
        for (int b = 0; b < KERNEL; b++) {
          const double value = first[b] + sum(s[b]), next = second[b] + sum(t[b]);
          first[b] = value, second[b] = next;
        }
      }
  }
}

// padded += kernelᵀ signal, the gradient in the input. The tile: 2 taps × 8 columns. Neighbors among these taps lie in
// different rows, so that no sum waits for the one stored just before it.
SHARED void add_transposed(const Layer *l, const double *kernel, const double *signal, double *padded) {
  for (int tap = 0; tap < l->taps; tap += 2) {
    int weight[2], start[2]; // of both taps: among the kernel's weights, and in the padded input
    for (int q = 0; q < 2; q++) {
      const int t = least(tap + q, l->taps - 1), c = t / TAPS, b = t % TAPS / KERNEL, a = t % KERNEL;
      weight[q] = c * TAPS + a * KERNEL + b, start[q] = start_of(l, c, a) + l->column[b];
    }
    for (int i = 0; i < l->rows; i++)
      for (int j = 0; j < l->rows; j += 8) {
        pair s[4], t[4];
        for (int q = 0; q < 4; q++) s[q] = t[q] = both(0);
        const double *d = signal + i * l->rows + j, *w = kernel + weight[0], *v = kernel + weight[1];
        for (int o = 0; o < l->outputs; o++, d += l->cells, w += l->taps, v += l->taps)
          for (int q = 0; q < 4; q++) {
            const pair x = load(d + 2 * q);
            s[q] += both(*w) * x;
            t[q] += both(*v) * x;
          }
        double *const corner = padded + start_of(l, 0, l->stride * i) + j;
        double *const first = corner + start[0], *const second = corner + start[1];
        for (int q = 0; q < 4; q++) s[q] += load(first + 2 * q), t[q] += load(second + 2 * q);
        for (int q = 0; q < 4; q++) store(first + 2 * q, s[q]), store(second + 2 * q, t[q]);
      }
  }
}

// The network

// What an example leaves in a layer: `evaluate` the values, `mixed` their derivatives along the direction
typedef struct {
  double *padded;      // input
  double *activation;  // a = σ(z)
  double *sensitivity; // ∂L/∂z
  double *upper;       // ∂L/∂a
  double *sum;         // dz/dε
} State;

static int examples, features, matrix, offset; // of the last layer: inputs, and where its weights and biases lie
static Layer layers[LAYERS];
static State states[MOST_EXAMPLES][LAYERS];
static double probabilities[MOST_EXAMPLES][CLASSES], errors[MOST_EXAMPLES][CLASSES]; // errors: ∂L/∂logits
static double *shifted[LAYERS];   // padded inputs that nothing keeps
static double *scattered;         // padded gradient in an input
static double *moved, *moved_up;  // da/dε, then d(∂L/∂z)/dε; d(∂L/∂a)/dε

extern unsigned char __heap_base;
static unsigned long used;

// `length` zeros, or null where the memory is full. Nothing is given back.
EXPORT(allocate) double *allocate(int length) {
  if (!used) used = ((unsigned long)&__heap_base + 15) / 16 * 16;
  const unsigned long bytes = ((unsigned long)length * sizeof(double) + 15) / 16 * 16;
  if (length < 0 || bytes > __builtin_wasm_memory_size(0) * PAGE - used) return 0;
  used += bytes;
  return (double *)(used - bytes);
}

// Once, before anything else: the sizes, and memory for what evaluate and mixed leave
EXPORT(prepare) void prepare(int channels, int batch) {
  int inputs = COLORS, side = SIDE, at = 0, largest = 0;
  examples = batch;
  for (int k = 0; k < LAYERS; k++) {
    const int stride = k < 2 ? 2 : 1, rows = side / stride, pitch = side + 2 * PADDING, taps = inputs * TAPS;
    Layer *l = layers + k;
    *l = (Layer){inputs, side, channels, rows, stride, pitch, pitch * pitch, {0}, taps, rows * rows, at, 0};
    l->bias = at + channels * taps;
    for (int b = 0; b < KERNEL; b++) l->column[b] = place(l, b - PADDING);
    for (int e = 0; e < examples; e++) {
      double **const parts[] = {&states[e][k].activation, &states[e][k].sensitivity, &states[e][k].upper,
                                &states[e][k].sum};
      for (int i = 0; i < 4; i++) *parts[i] = allocate(channels * l->cells);
      states[e][k].padded = allocate(inputs * l->plane);
    }
    shifted[k] = allocate(inputs * l->plane);
    largest = most(largest, inputs * l->plane);
    at = l->bias + channels, inputs = channels, side = rows;
  }
  scattered = allocate(largest);
  moved = allocate(channels * layers[0].cells);
  moved_up = allocate(channels * layers[0].cells);
  features = channels * side * side, matrix = at, offset = at + CLASSES * features;
}

// Activations of the three convolutions
static void forward(const double *weights, const double *picture, State *state) {
  for (int k = 0; k < LAYERS; k++, state++) {
    const Layer *l = layers + k;
    double *const a = state->activation;
    pad(l, k ? state[-1].activation : picture, state->padded);
    for (int o = 0; o < l->outputs; o++) fill(a + o * l->cells, weights[l->bias + o], l->cells);
    add_convolution(l, weights + l->weight, state->padded, a);
    for (int i = 0; i < l->outputs * l->cells; i += 2)
      store(a + i, both(1) / (both(1) + exponential(within(-load(a + i), 700))));
  }
}

// The last layer and the softmax. Returns the example's share of the mean loss.
static double last_layer(const double *weights, const double *target, State *state, double *p, double *error) {
  double logits[CLASSES], highest = -__builtin_inf(), total = 0, loss = 0;
  for (int k = 0; k < CLASSES; k++) {
    logits[k] = weights[offset + k] + dot(weights + matrix + k * features, state->activation, features);
    if (logits[k] > highest) highest = logits[k];
  }
  for (int k = 0; k < CLASSES; k++) total += p[k] = exponential_of(logits[k] - highest);
  fill(state->upper, 0, features);
  for (int k = 0; k < CLASSES; k++) {
    p[k] /= total;
    error[k] = (p[k] - target[k]) / examples;
    loss -= target[k] * (logits[k] - highest - logarithm(total)) / examples;
    add(error[k], weights + matrix + k * features, state->upper, features);
  }
  return loss;
}

// Adds the example's gradient.
static void backward(const double *weights, const double *error, double *gradient, State *states) {
  for (int k = 0; k < CLASSES; k++) {
    gradient[offset + k] += error[k];
    add(error[k], states[LAYERS - 1].activation, gradient + matrix + k * features, features);
  }
  for (int k = LAYERS - 1; k >= 0; k--) {
    const Layer *l = layers + k;
    const double *a = states[k].activation, *u = states[k].upper;
    double *const d = states[k].sensitivity;
    for (int o = 0, i = 0; o < l->outputs; o++) {
      pair bias = both(0);
      for (const int end = i + l->cells; i < end; i += 2) {
        const pair sensitivity = load(u + i) * load(a + i) * (both(1) - load(a + i));
        store(d + i, sensitivity), bias += sensitivity;
      }
      gradient[l->bias + o] += sum(bias);
    }
    add_correlation(l, d, states[k].padded, gradient + l->weight);
    if (!k) continue;
    fill(scattered, 0, l->inputs * l->plane);
    add_transposed(l, weights + l->weight, d, scattered);
    unpad(l, scattered, states[k - 1].upper);
  }
}

// The gradient of the mean cross-entropy over the batch. Returns the loss.
EXPORT(evaluate)
double evaluate(const double *weights, const double *pictures, const double *targets, double *gradient) {
  double loss = 0;
  fill(gradient, 0, offset + CLASSES);
  for (int e = 0; e < examples; e++) {
    forward(weights, pictures + e * PIXELS, states[e]);
    loss += last_layer(weights, targets + e * CLASSES, &states[e][LAYERS - 1], probabilities[e], errors[e]);
    backward(weights, errors[e], gradient, states[e]);
  }
  return loss;
}

// The derivative of `forward`, where the weights move along `direction`: leaves `sum`, and `moved` of the last layer.
static void move_forward(const double *weights, const double *direction, State *state) {
  for (int k = 0; k < LAYERS; k++, state++) {
    const Layer *l = layers + k;
    const double *a = state->activation;
    for (int o = 0; o < l->outputs; o++) fill(state->sum + o * l->cells, direction[l->bias + o], l->cells);
    add_convolution(l, direction + l->weight, state->padded, state->sum);
    if (k) {
      pad(l, moved, shifted[k]);
      add_convolution(l, weights + l->weight, shifted[k], state->sum);
    }
    for (int i = 0; i < l->outputs * l->cells; i++) moved[i] = a[i] * (1 - a[i]) * state->sum[i];
  }
}

// The derivative of `last_layer`: leaves `moved_up`.
static void move_last_layer(const double *weights, const double *direction, const State *state, const double *p,
                            const double *error) {
  double logits[CLASSES], mean = 0;
  for (int k = 0; k < CLASSES; k++) {
    logits[k] = direction[offset + k] + dot(direction + matrix + k * features, state->activation, features) +
                dot(weights + matrix + k * features, moved, features);
    mean += p[k] * logits[k];
  }
  fill(moved_up, 0, features);
  for (int k = 0; k < CLASSES; k++) {
    add(p[k] * (logits[k] - mean) / examples, weights + matrix + k * features, moved_up, features);
    add(error[k], direction + matrix + k * features, moved_up, features);
  }
}

// The derivative of `backward`, down to the picture
static void move_backward(const double *weights, const double *direction, double *slope, const State *states) {
  for (int k = LAYERS - 1; k >= 0; k--) {
    const Layer *l = layers + k;
    const double *a = states[k].activation, *u = states[k].upper, *z = states[k].sum;
    for (int i = 0; i < l->outputs * l->cells; i++)
      moved[i] = a[i] * (1 - a[i]) * (moved_up[i] + u[i] * (1 - 2 * a[i]) * z[i]);
    fill(scattered, 0, l->inputs * l->plane);
    add_transposed(l, weights + l->weight, moved, scattered);
    add_transposed(l, direction + l->weight, states[k].sensitivity, scattered);
    unpad(l, scattered, k ? moved_up : slope);
  }
}

// After `evaluate`: d/dε ∇pictures L(weights + ε direction)
EXPORT(mixed) void mixed(const double *weights, const double *direction, double *slope) {
  for (int e = 0; e < examples; e++) {
    move_forward(weights, direction, states[e]);
    move_last_layer(weights, direction, &states[e][LAYERS - 1], probabilities[e], errors[e]);
    move_backward(weights, direction, slope + e * PIXELS, states[e]);
  }
}

// The linear maps of a layer by themselves

EXPORT(convolve) void convolve(int layer, const double *kernel, const double *input, double *output) {
  const Layer *l = layers + layer;
  pad(l, input, shifted[layer]);
  fill(output, 0, l->outputs * l->cells);
  add_convolution(l, kernel, shifted[layer], output);
}

EXPORT(correlate) void correlate(int layer, const double *signal, const double *input, double *kernel) {
  const Layer *l = layers + layer;
  pad(l, input, shifted[layer]);
  fill(kernel, 0, l->outputs * l->taps);
  add_correlation(l, signal, shifted[layer], kernel);
}

EXPORT(transpose) void transpose(int layer, const double *kernel, const double *signal, double *input) {
  const Layer *l = layers + layer;
  fill(scattered, 0, l->inputs * l->plane);
  add_transposed(l, kernel, signal, scattered);
  unpad(l, scattered, input);
}
