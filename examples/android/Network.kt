// A .tflite file that edgekit exported, on Android: what it takes of a picture, and what it gives, by name.
//
//   edgekit export CHECKPOINT --device android --calib images/ --out exported
//   cp exported/NAME.int8.tflite app/src/main/assets/model.tflite
//   edgekit inspect exported/NAME.int8.tflite --json > app/src/main/assets/model.json
//
// build.gradle: implementation 'com.google.ai.edge.litert:litert:2.3.0'
//
// Classifier.kt, Detector.kt and Segmenter.kt say what the outputs mean. Everything that depends on the network is read
// from model.json. See docs/mobile.md for what was checked of this.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.RectF
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.TensorBuffer
import org.json.JSONObject
import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

class Network(context: Context, name: String = "model") : AutoCloseable {
    private val about = JSONObject(context.assets.open("$name.json").bufferedReader().readText())
    private val metadata = about.getJSONObject("metadata")
    private val preprocessing = metadata.getJSONObject("preprocessing")
    private val labels = metadata.getJSONArray("labels")
    private val onCpu = CompiledModel.Options(Accelerator.CPU)
    private val model = CompiledModel.create(context.assets, "$name.tflite", onCpu, Environment.create())
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val described = about.getJSONArray("outputs").let { all -> List(all.length()) { all.getJSONObject(it) } }

    /** Width and height of what the network sees, pixels. */
    val width = preprocessing.getJSONArray("size").getInt(1)
    val height = preprocessing.getJSONArray("size").getInt(0)

    /** What the file gives for an upright picture, real numbers by the output's name. */
    fun run(picture: Bitmap): Map<String, FloatArray> {
        val pixels = pixels(picture)
        when (val type = metadata.getString("io_dtype")) {
            "int8" -> inputs[0].writeInt8(stored(pixels))
            "float32" -> inputs[0].writeFloat(normalized(pixels))
            else -> error("the file takes $type: export it with --io-dtype int8 or float32")
        }
        model.run(inputs, outputs)
        return described.indices.associate { described[it].getString("name") to reals(outputs[it], described[it]) }
    }

    /** What a file with an int8 boundary gives for an upright picture, as it is stored, by the output's name. */
    fun stored(picture: Bitmap): Map<String, ByteArray> = stored(stored(pixels(picture)))

    /** The same for what the file takes, as it is stored. */
    fun stored(taken: ByteArray): Map<String, ByteArray> {
        inputs[0].writeInt8(taken)
        model.run(inputs, outputs)
        return described.indices.associate { described[it].getString("name") to outputs[it].readInt8() }
    }

    /** The shape of an output, a batch of one first. */
    fun shape(name: String): List<Int> {
        val shape = described.first { it.getString("name") == name }.getJSONArray("shape")
        return List(shape.length()) { shape.getInt(it) }
    }

    /** The name of a class. */
    fun label(index: Int): String = if (index < labels.length()) labels.getString(index) else "class $index"

    /** The part of an upright picture that the network sees, in its pixels. */
    fun seen(picture: Bitmap): RectF {
        val (wide, high) = resized(picture.width, picture.height)
        val (left, top) = Pair(middle(wide, width), middle(high, height))
        val (across, down) = Pair(picture.width.toFloat() / wide, picture.height.toFloat() / high)
        return RectF(left * across, top * down, (left + width) * across, (top + height) * down)
    }

    /** Reals from what the file gives: int32 are classes, int8 stand for scale * (stored - zero point). */
    private fun reals(given: TensorBuffer, output: JSONObject): FloatArray {
        val type = output.getString("dtype")
        if (type == "float32") return given.readFloat()
        if (type == "int32") return given.readInt().map { it.toFloat() }.toFloatArray()
        val (scale, zeroPoint) = Pair(output.getDouble("scale"), output.getInt("zero_point"))
        return given.readInt8().map { (scale * (it - zeroPoint)).toFloat() }.toFloatArray()
    }

    /** What an int8 input is: pixel - 128. */
    private fun stored(pixels: IntArray) = ByteArray(pixels.size) { (pixels[it] - 128).toByte() }

    /** What a float input is: (pixel - mean) / std, in pixel units. */
    private fun normalized(pixels: IntArray): FloatArray {
        val normalization = metadata.getJSONObject("normalization")
        val (mean, std) = Pair(normalization.getJSONArray("mean"), normalization.getJSONArray("std"))
        return FloatArray(pixels.size) { ((pixels[it] - mean.getDouble(it % 3)) / std.getDouble(it % 3)).toFloat() }
    }

    /** The pixels that the network sees, row by row, three colours each: resized, then the centre cropped. */
    private fun pixels(picture: Bitmap): IntArray {
        val (wide, high) = resized(picture.width, picture.height)
        var colours = colours(picture)
        if (!preprocessing.isNull("resize")) {
            val turned = resizedAndTurned(colours, picture.width, picture.height, wide)
            colours = resizedAndTurned(turned, picture.height, wide, high)
        }
        val (left, top) = Pair(middle(wide, width), middle(high, height))
        return IntArray(height * width * 3) {
            val (y, x, c) = Triple(it / 3 / width, it / 3 % width, it % 3)
            colours[((top + y) * wide + left + x) * 3 + c]
        }
    }

    /** Where the crop begins. */
    private fun middle(resized: Int, wanted: Int) = Math.rint((resized - wanted) / 2.0).toInt()

    /** The width and height that a picture is resized to before the crop. */
    private fun resized(fromWidth: Int, fromHeight: Int): Pair<Int, Int> {
        if (preprocessing.isNull("resize")) return Pair(fromWidth, fromHeight)
        if (preprocessing.get("resize") == "whole") return Pair(width, height)
        val (rows, columns) = covered()
        val isTall = fromWidth.toLong() * rows <= fromHeight.toLong() * columns
        val (wanted, before) = if (isTall) Pair(columns, fromWidth) else Pair(rows, fromHeight)
        return Pair(wanted * fromWidth / before, wanted * fromHeight / before)
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
