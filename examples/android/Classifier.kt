// Names what a picture shows, with a .tflite file that edgekit exported, on Android.
//
//   edgekit export mobilenet_v3_small.pth --device android --calib images/ --labels labels.txt --out exported
//   cp exported/NAME.int8.tflite app/src/main/assets/model.tflite
//   edgekit inspect exported/NAME.int8.tflite --json > app/src/main/assets/model.json
//
// build.gradle: implementation 'com.google.ai.edge.litert:litert:2.3.0'
//
// Everything that depends on the network is read from model.json. See docs/mobile.md for what was checked of this.

import android.content.Context
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import org.json.JSONObject
import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min

class Classifier(context: Context) : AutoCloseable {
    private val about = JSONObject(context.assets.open("model.json").bufferedReader().readText())
    private val metadata = about.getJSONObject("metadata")
    private val preprocessing = metadata.getJSONObject("preprocessing")
    private val labels = metadata.getJSONArray("labels")
    private val onCpu = CompiledModel.Options(Accelerator.CPU)
    private val model = CompiledModel.create(context.assets, "model.tflite", onCpu, Environment.create())
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val described = about.getJSONArray("outputs")
    private val place = (0 until described.length()).first { isLogits(described.getJSONObject(it)) }

    /** What an upright picture shows, and how probable the network finds it, 0..1. */
    fun classify(picture: Bitmap): Pair<String, Double> {
        val pixels = pixels(picture)
        when (val type = metadata.getString("io_dtype")) {
            "int8" -> inputs[0].writeInt8(ByteArray(pixels.size) { (pixels[it] - 128).toByte() })
            "float32" -> inputs[0].writeFloat(normalized(pixels))
            else -> error("the file takes $type: export it with --io-dtype int8 or float32")
        }
        model.run(inputs, outputs)
        val logits = logits()
        val best = logits.indices.maxByOrNull { logits[it] }!!
        val label = if (best < labels.length()) labels.getString(best) else "class $best"
        return Pair(label, 1 / logits.sumOf { exp(it - logits[best]) })
    }

    /** With --head softmax or sigmoid, probabilities stand beside the logits. */
    private fun isLogits(output: JSONObject) = output.getString("name") == "logits"

    /** Reals from what the file gives: scale * (stored - zero point). */
    private fun logits(): DoubleArray {
        val output = described.getJSONObject(place)
        val given = outputs[place]
        if (output.getString("dtype") == "float32") return given.readFloat().map { it.toDouble() }.toDoubleArray()
        val (scale, zeroPoint) = Pair(output.getDouble("scale"), output.getInt("zero_point"))
        return given.readInt8().map { scale * (it - zeroPoint) }.toDoubleArray()
    }

    /** What a float input is: (pixel - mean) / std, in pixel units. */
    private fun normalized(pixels: IntArray): FloatArray {
        val normalization = metadata.getJSONObject("normalization")
        val (mean, std) = Pair(normalization.getJSONArray("mean"), normalization.getJSONArray("std"))
        return FloatArray(pixels.size) { ((pixels[it] - mean.getDouble(it % 3)) / std.getDouble(it % 3)).toFloat() }
    }

    /** The pixels that the network sees, row by row, three colours each: resized, then the centre cropped. */
    private fun pixels(picture: Bitmap): IntArray {
        val toHeight = preprocessing.getJSONArray("size").getInt(0)
        val toWidth = preprocessing.getJSONArray("size").getInt(1)
        var (width, height) = Pair(picture.width, picture.height)
        var colours = colours(picture)
        if (!preprocessing.isNull("resize")) {
            val whole = preprocessing.get("resize") == "whole"
            val (rows, columns) = if (whole) Pair(toHeight, toWidth) else covered()
            val isTall = width.toLong() * rows <= height.toLong() * columns
            val (wanted, before) = if (isTall) Pair(columns, width) else Pair(rows, height)
            val newWidth = if (whole) toWidth else wanted * width / before
            val newHeight = if (whole) toHeight else wanted * height / before
            val turned = resizedAndTurned(colours, width, height, newWidth)
            colours = resizedAndTurned(turned, height, newWidth, newHeight)
            width = newWidth
            height = newHeight
        }
        val left = Math.rint((width - toWidth) / 2.0).toInt()
        val top = Math.rint((height - toHeight) / 2.0).toInt()
        return IntArray(toHeight * toWidth * 3) {
            val (y, x, c) = Triple(it / 3 / toWidth, it / 3 % toWidth, it % 3)
            colours[((top + y) * width + left + x) * 3 + c]
        }
    }

    /** The rows and columns that the resized picture covers: two numbers, or one for both. */
    private fun covered(): Pair<Int, Int> {
        val both = preprocessing.optJSONArray("resize")
        return if (both != null) Pair(both.getInt(0), both.getInt(1))
        else Pair(preprocessing.getInt("resize"), preprocessing.getInt("resize"))
    }

    /** The colours of a bitmap, in the network's order. */
    private fun colours(picture: Bitmap): IntArray {
        require(preprocessing.getJSONArray("mean").length() == 3) { "this example feeds colours, three channels" }
        val argb = IntArray(picture.width * picture.height)
        picture.getPixels(argb, 0, picture.width, 0, 0, picture.width, picture.height)
        val shifts = if (preprocessing.getString("order") == "RGB") intArrayOf(16, 8, 0) else intArrayOf(0, 8, 16)
        return IntArray(argb.size * 3) { (argb[it / 3] shr shifts[it % 3]) and 255 }
    }

    /**
     * Pillow's bilinear filter along the rows, with its own rounding. It averages over what it shrinks away, which
     * Bitmap.createScaledBitmap does not. Rows come out as columns, so calling it twice resizes both ways.
     */
    private fun resizedAndTurned(source: IntArray, width: Int, height: Int, toWidth: Int): IntArray {
        val result = IntArray(toWidth * height * 3)
        val scale = width.toDouble() / toWidth
        val reach = max(scale, 1.0)
        for (x in 0 until toWidth) {
            val centre = (x + 0.5) * scale
            val first = max(0, (centre - reach + 0.5).toInt())
            val end = min(width, (centre + reach + 0.5).toInt())
            val shares = DoubleArray(end - first) { max(0.0, 1 - abs((it + first - centre + 0.5) * (1 / reach))) }
            val whole = 1 / shares.sum()
            val weights = IntArray(end - first) { (shares[it] * whole * (1 shl BITS) + 0.5).toInt() }
            for (y in 0 until height) for (c in 0..2) {
                var value = 1 shl (BITS - 1)
                for (i in weights.indices) value += weights[i] * source[(y * width + first + i) * 3 + c]
                result[(x * height + y) * 3 + c] = value shr BITS
            }
        }
        return result
    }

    override fun close() = model.close()

    private companion object {
        const val BITS = 22  // of a weight behind the point: PRECISION_BITS of Pillow's Resample.c
    }
}
